-- What a rule says beside the carrier, what the seller overrides and holds, and what keeps a bought package together.
DROP VIEW v_packages;

ALTER TABLE packages ADD COLUMN box TEXT;
ALTER TABLE packages ADD COLUMN ship_from TEXT;
ALTER TABLE packages ADD COLUMN signature TEXT CHECK (signature IN ('standard', 'adult'));
ALTER TABLE packages ADD COLUMN insurance_minor INTEGER CHECK (insurance_minor > 0);
ALTER TABLE packages ADD COLUMN insurance_currency TEXT;
ALTER TABLE packages ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE packages ADD COLUMN print_note TEXT;
ALTER TABLE packages ADD COLUMN fallbacks TEXT NOT NULL DEFAULT '[]';
ALTER TABLE packages ADD COLUMN price_minor INTEGER;
ALTER TABLE packages ADD COLUMN price_currency TEXT;
ALTER TABLE packages ADD COLUMN price_source TEXT;
ALTER TABLE packages ADD COLUMN hold_because TEXT;

CREATE TABLE holds (
  order_id TEXT PRIMARY KEY REFERENCES orders,
  because  TEXT NOT NULL,
  since    TEXT NOT NULL CHECK (since GLOB '????-??-??T??:??:??Z')
) STRICT, WITHOUT ROWID;

CREATE TABLE overrides (
  order_id TEXT NOT NULL REFERENCES orders,
  cause    TEXT NOT NULL,
  because  TEXT NOT NULL,
  at       TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??Z'),
  run_id   INTEGER REFERENCES runs,
  PRIMARY KEY (order_id, cause)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER package_orders_stay_with_their_label BEFORE UPDATE OF package_id ON package_orders
WHEN EXISTS (SELECT 1 FROM labels l WHERE l.package_id IN (OLD.package_id, NEW.package_id)
             AND l.state IN ('intent', 'sent', 'unknown', 'bought'))
BEGIN SELECT RAISE(ABORT, 'a package with a label keeps its orders'); END;

CREATE VIEW v_packages AS
WITH facts AS (
  SELECT p.*, l.label_id, l.state AS label_state, l.tracking_number, l.cost_minor, l.sha256, l.bought_at, l.printed_at,
    (SELECT json_group_array(po.order_id) FROM (SELECT order_id FROM package_orders WHERE package_id = p.package_id ORDER BY order_id) po) AS order_ids,
    (SELECT CASE WHEN count(DISTINCT coalesce(channel_package_id, '')) = 1 THEN max(channel_package_id) END
       FROM package_orders WHERE package_id = p.package_id) AS channel_package_id,
    (SELECT CASE WHEN count(*) = count(uploaded_at) THEN max(uploaded_at) END
       FROM package_orders WHERE package_id = p.package_id) AS uploaded_at,
    (SELECT min(o.ship_by) FROM package_orders po JOIN orders o USING (order_id) WHERE po.package_id = p.package_id) AS ship_by,
    (SELECT q.cause FROM quarantine q WHERE q.package_id = p.package_id AND q.resolved_at IS NULL ORDER BY q.case_id LIMIT 1) AS quarantine_cause
  FROM packages p
  LEFT JOIN labels l ON l.package_id = p.package_id AND l.state IN ('intent', 'sent', 'unknown', 'bought')
)
SELECT package_id, channel, channel_package_id, order_ids,
  CASE
    WHEN cancelled_at IS NOT NULL THEN 'cancelled'
    WHEN quarantine_cause IS NOT NULL AND label_id IS NULL THEN 'quarantined'
    WHEN delivered_at IS NOT NULL THEN 'delivered'
    WHEN scanned_at IS NOT NULL THEN 'in_transit'
    WHEN label_state = 'bought' AND sha256 IS NOT NULL AND printed_at IS NULL THEN 'labelled'
    WHEN uploaded_at IS NOT NULL THEN 'uploaded'
    WHEN printed_at IS NOT NULL THEN 'printed'
    WHEN label_state = 'bought' THEN 'labelled'
    WHEN label_state IS NOT NULL THEN 'buying'
    WHEN allocated_at IS NOT NULL THEN 'allocated'
    WHEN wait_until > strftime('%Y-%m-%dT%H:%M:%SZ', 'now') THEN 'waiting'
    WHEN EXISTS (SELECT 1 FROM units u WHERE u.package_id = facts.package_id)
     AND NOT EXISTS (SELECT 1 FROM units u LEFT JOIN reservations r USING (unit_id)
                     WHERE u.package_id = facts.package_id AND u.state <> 'cancelled' AND coalesce(r.state, '') <> 'held') THEN 'reserved'
    ELSE 'planned'
  END AS state,
  ship_by, carrier, service_level, because, weight_g, tracking_number, cost_minor AS label_cost_minor, allocated_at,
  bought_at AS labelled_at, printed_at, uploaded_at, scanned_at, quarantine_cause, delivered_at, wait_until, merged_into,
  box, ship_from, signature, insurance_minor, insurance_currency, tags, print_note, price_minor, price_currency, price_source,
  hold_because
FROM facts;

CREATE VIEW v_overrides AS
SELECT order_id, cause, because, at FROM overrides;
