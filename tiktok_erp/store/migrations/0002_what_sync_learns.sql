-- Creators, cancellations, events, further amounts and deadlines, the channel's weights, how the channel answers, alerts.
DROP VIEW v_orders;
DROP VIEW v_line_items;
DROP VIEW v_listings;
DROP INDEX outbox_unsettled;

ALTER TABLE listings ADD COLUMN price_minor INTEGER;
ALTER TABLE listings ADD COLUMN currency TEXT;
ALTER TABLE listings ADD COLUMN weight_g INTEGER CHECK (weight_g > 0);
ALTER TABLE listings ADD COLUMN length_mm INTEGER CHECK (length_mm > 0);
ALTER TABLE listings ADD COLUMN width_mm INTEGER CHECK (width_mm > 0);
ALTER TABLE listings ADD COLUMN height_mm INTEGER CHECK (height_mm > 0);
ALTER TABLE listings ADD COLUMN changed_at TEXT CHECK (changed_at GLOB '????-??-??T??:??:??Z');
ALTER TABLE listings ADD COLUMN measured_at TEXT CHECK (measured_at GLOB '????-??-??T??:??:??Z');
ALTER TABLE orders ADD COLUMN collection_due_at TEXT CHECK (collection_due_at GLOB '????-??-??T??:??:??Z');
ALTER TABLE orders ADD COLUMN delivery_due_at TEXT CHECK (delivery_due_at GLOB '????-??-??T??:??:??Z');
ALTER TABLE orders ADD COLUMN delivery_sla_at TEXT CHECK (delivery_sla_at GLOB '????-??-??T??:??:??Z');
ALTER TABLE orders ADD COLUMN handling_days INTEGER;
ALTER TABLE orders ADD COLUMN handling_days_kind TEXT;
ALTER TABLE orders ADD COLUMN is_refundable_sample INTEGER NOT NULL DEFAULT 0 CHECK (is_refundable_sample IN (0, 1));
ALTER TABLE orders ADD COLUMN split_or_combine TEXT;
ALTER TABLE orders ADD COLUMN cancel_requested_at TEXT CHECK (cancel_requested_at GLOB '????-??-??T??:??:??Z');
ALTER TABLE orders ADD COLUMN cancelled_by TEXT;
ALTER TABLE orders ADD COLUMN cancel_reason TEXT;
ALTER TABLE orders ADD COLUMN other_amounts TEXT;
ALTER TABLE units ADD COLUMN original_price_minor INTEGER;
ALTER TABLE units ADD COLUMN platform_discount_minor INTEGER;
ALTER TABLE units ADD COLUMN seller_discount_minor INTEGER;
ALTER TABLE units ADD COLUMN cancelled_by TEXT;
ALTER TABLE units ADD COLUMN cancel_reason TEXT;
ALTER TABLE units ADD COLUMN should_restock INTEGER CHECK (should_restock IN (0, 1));
ALTER TABLE units ADD COLUMN is_returned INTEGER NOT NULL DEFAULT 0 CHECK (is_returned IN (0, 1));

CREATE TABLE order_events (
  event_id INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id TEXT NOT NULL REFERENCES orders,
  kind     TEXT NOT NULL,
  at       TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??Z'),
  seen_at  TEXT NOT NULL CHECK (seen_at GLOB '????-??-??T??:??:??Z'),
  detail   TEXT,
  run_id   INTEGER REFERENCES runs,
  UNIQUE (order_id, kind, at)
) STRICT;

CREATE TABLE cancellations (
  channel        TEXT NOT NULL,
  cancel_id      TEXT NOT NULL,
  order_id       TEXT NOT NULL,
  kind           TEXT,
  status         TEXT NOT NULL,
  is_pending     INTEGER NOT NULL CHECK (is_pending IN (0, 1)),
  role           TEXT,
  reason         TEXT,
  created_at     TEXT CHECK (created_at GLOB '????-??-??T??:??:??Z'),
  updated_at     TEXT CHECK (updated_at GLOB '????-??-??T??:??:??Z'),
  answer_by      TEXT CHECK (answer_by GLOB '????-??-??T??:??:??Z'),
  should_restock INTEGER CHECK (should_restock IN (0, 1)),
  refund_minor   INTEGER,
  currency       TEXT,
  channel_unit_ids TEXT NOT NULL DEFAULT '[]',
  fetched_at     TEXT NOT NULL CHECK (fetched_at GLOB '????-??-??T??:??:??Z'),
  PRIMARY KEY (channel, cancel_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE commissions (
  channel          TEXT NOT NULL,
  order_id         TEXT NOT NULL,
  channel_sku_id   TEXT NOT NULL,
  creator          TEXT NOT NULL,
  content_type     TEXT NOT NULL,
  content_id       TEXT NOT NULL,
  quantity         INTEGER NOT NULL CHECK (quantity >= 0),
  commission_rate_bp INTEGER,
  estimated_commission_minor INTEGER,
  actual_commission_minor    INTEGER,
  partner_commission_minor   INTEGER,
  shop_ads_commission_minor  INTEGER,
  currency         TEXT,
  settlement_status TEXT,
  is_fully_returned INTEGER CHECK (is_fully_returned IN (0, 1)),
  is_on_units      INTEGER NOT NULL CHECK (is_on_units IN (0, 1)),
  fetched_at       TEXT NOT NULL CHECK (fetched_at GLOB '????-??-??T??:??:??Z'),
  PRIMARY KEY (channel, order_id, channel_sku_id, creator, content_type, content_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_calls (
  at         TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??Z'),
  channel    TEXT NOT NULL,
  endpoint   TEXT NOT NULL,
  outcome    TEXT NOT NULL CHECK (outcome IN ('ok', 'refused', 'throttled', 'failed')),
  latency_ms INTEGER NOT NULL CHECK (latency_ms >= 0)
) STRICT;

CREATE TABLE alerts (
  alert_id        INTEGER PRIMARY KEY AUTOINCREMENT,
  kind            TEXT NOT NULL,
  detail          TEXT NOT NULL,
  opened_at       TEXT NOT NULL CHECK (opened_at GLOB '????-??-??T??:??:??Z'),
  claimed_at      TEXT CHECK (claimed_at GLOB '????-??-??T??:??:??Z'),
  sent_at         TEXT CHECK (sent_at GLOB '????-??-??T??:??:??Z'),
  closed_at       TEXT CHECK (closed_at GLOB '????-??-??T??:??:??Z'),
  clear_claimed_at TEXT CHECK (clear_claimed_at GLOB '????-??-??T??:??:??Z'),
  clear_sent_at   TEXT CHECK (clear_sent_at GLOB '????-??-??T??:??:??Z')
) STRICT;

CREATE INDEX cancellations_by_order ON cancellations (order_id);

CREATE INDEX commissions_to_place ON commissions (order_id) WHERE is_on_units = 0;

CREATE INDEX api_calls_by_time ON api_calls (at);

CREATE UNIQUE INDEX alerts_one_open ON alerts (kind) WHERE closed_at IS NULL;

CREATE TABLE outbox_of_any_kind (
  outbox_id       INTEGER PRIMARY KEY AUTOINCREMENT,
  kind            TEXT NOT NULL,
  subject         TEXT NOT NULL,
  package_id      TEXT REFERENCES packages,
  idempotency_key TEXT NOT NULL UNIQUE,
  payload         TEXT NOT NULL,
  state           TEXT NOT NULL CHECK (state IN ('intent', 'sent', 'unknown', 'done', 'refused', 'dropped')),
  attempts        INTEGER NOT NULL DEFAULT 0,
  request_id      TEXT,
  error_code      TEXT,
  warning         TEXT,
  intent_at       TEXT NOT NULL CHECK (intent_at GLOB '????-??-??T??:??:??Z'),
  sent_at         TEXT CHECK (sent_at GLOB '????-??-??T??:??:??Z'),
  done_at         TEXT CHECK (done_at GLOB '????-??-??T??:??:??Z'),
  run_id          INTEGER REFERENCES runs
) STRICT;

INSERT INTO outbox_of_any_kind (outbox_id, kind, subject, package_id, idempotency_key, payload, state, attempts, request_id, error_code, warning,
  intent_at, sent_at, done_at, run_id)
  SELECT outbox_id, kind, subject, package_id, idempotency_key, payload, state, attempts, request_id, error_code, warning,
  intent_at, sent_at, done_at, run_id FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_of_any_kind RENAME TO outbox;
CREATE INDEX outbox_unsettled ON outbox (kind, subject) WHERE state IN ('intent', 'sent', 'unknown');

CREATE VIEW v_orders AS
SELECT o.order_id, o.channel, o.channel_order_id,
  CASE
    WHEN o.base_state = 'open' AND o.held_until > strftime('%Y-%m-%dT%H:%M:%SZ', 'now') THEN 'held'
    ELSE o.base_state
  END AS state,
  o.status, o.placed_at, o.paid_at, o.held_until, o.ship_by, o.ship_by_source, o.is_presale, o.cancel_requested,
  o.currency, o.total_minor, o.platform_discount_minor, o.seller_discount_minor, o.shipping_minor,
  o.buyer_note, o.seller_note,
  (SELECT CASE WHEN count(DISTINCT u.creator) > 1 THEN 'several' ELSE max(u.creator) END
     FROM units u WHERE u.order_id = o.order_id) AS creator,
  (SELECT CASE WHEN count(DISTINCT u.content_type) > 1 THEN 'several' ELSE max(u.content_type) END
     FROM units u WHERE u.order_id = o.order_id) AS content_type,
  (SELECT CASE WHEN count(DISTINCT u.content_id) > 1 THEN 'several' ELSE max(u.content_id) END
     FROM units u WHERE u.order_id = o.order_id) AS content_id,
  o.synced_at, o.shipping_type, o.fulfillment_type, o.delivery_option, o.is_sample, o.auto_combine_group_id,
  o.rts_sla_at, o.tts_sla_at, o.shipping_due_at, o.updated_at, o.source, o.as_of,
  o.collection_due_at, o.delivery_sla_at, o.release_at, o.is_replacement, o.is_exchange, o.split_or_combine,
  o.cancel_requested_at, o.cancelled_by, o.cancel_reason, o.subtotal_minor, o.tax_minor, o.other_amounts,
  (SELECT min(c.answer_by) FROM cancellations c WHERE c.order_id = o.order_id AND c.is_pending = 1) AS answer_by,
  (SELECT sum(coalesce(c.actual_commission_minor, c.estimated_commission_minor)) FROM commissions c
     WHERE c.channel = o.channel AND c.order_id = o.order_id) AS commission_minor
FROM orders o;

CREATE VIEW v_line_items AS
SELECT min(u.unit_id) AS line_item_id, u.order_id, u.sku, u.channel_sku_id, max(u.product_name) AS product_name,
  count(*) AS quantity, u.price_minor, u.package_id, u.state,
  max(u.variant_name) AS variant_name, max(u.is_gift) AS is_gift, sum(u.is_returned) AS returned,
  CASE WHEN count(DISTINCT u.creator) > 1 THEN 'several' ELSE max(u.creator) END AS creator
FROM units u
GROUP BY u.order_id, u.channel_sku_id, u.sku, u.price_minor, u.package_id, u.state;

CREATE VIEW v_listings AS
SELECT channel, listing_id, sku, wanted_quantity, pushed_quantity, pushed_at, product_id, channel_quantity, seen_at,
  title, status, price_minor, currency, weight_g
FROM listings;

CREATE VIEW v_order_events AS
SELECT order_id, kind, at, seen_at, detail FROM order_events;

CREATE VIEW v_cancellations AS
SELECT channel, cancel_id, order_id, kind, status, is_pending, role, reason, created_at, updated_at, answer_by, should_restock,
  refund_minor, currency FROM cancellations;

CREATE VIEW v_commissions AS
SELECT channel, order_id, channel_sku_id, creator, content_type, content_id, quantity, commission_rate_bp,
  estimated_commission_minor, actual_commission_minor, partner_commission_minor, shop_ads_commission_minor, currency,
  settlement_status, is_fully_returned FROM commissions;
