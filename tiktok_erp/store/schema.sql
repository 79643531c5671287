-- The whole store, readable top to bottom. Times are UTC text (2026-01-31T09:30:00Z), money integer minor units,
-- weight grams, length millimetres, ids text. Flags are 0 or 1. The v_ views at the end are the contract for readers.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,  -- shop, shop_name, shop_kind, made_by, created_at, behind, last_batch
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE migrations (
  number     INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  applied_at TEXT NOT NULL CHECK (applied_at GLOB '????-??-??T??:??:??Z')
) STRICT;

CREATE TABLE runs (
  run_id       INTEGER PRIMARY KEY AUTOINCREMENT,
  command      TEXT NOT NULL,
  process_id   INTEGER NOT NULL,
  started_at   TEXT NOT NULL CHECK (started_at GLOB '????-??-??T??:??:??Z'),
  ended_at     TEXT CHECK (ended_at GLOB '????-??-??T??:??:??Z'),  -- NULL: still running, or killed
  exit_code    INTEGER,
  items_done   INTEGER NOT NULL DEFAULT 0,
  items_failed INTEGER NOT NULL DEFAULT 0,
  error        TEXT
) STRICT;
CREATE INDEX runs_by_command ON runs (command);

-- How far each resource of a channel or label source has been read, and as of when our copy is true.
CREATE TABLE cursors (
  channel  TEXT NOT NULL,
  resource TEXT NOT NULL,  -- orders, orders_file, open_orders, new_orders (sweeps), listings, creators, cancellations, wanted
  cursor   TEXT,           -- the next window starts here
  as_of    TEXT NOT NULL CHECK (as_of GLOB '????-??-??T??:??:??Z'),
  PRIMARY KEY (channel, resource)
) STRICT, WITHOUT ROWID;

CREATE TABLE skus (
  sku           TEXT PRIMARY KEY,
  name          TEXT,
  weight_g      INTEGER CHECK (weight_g >= 0),  -- NULL: unknown
  length_mm     INTEGER CHECK (length_mm > 0),
  width_mm      INTEGER CHECK (width_mm > 0),
  height_mm     INTEGER CHECK (height_mm > 0),
  cost_minor    INTEGER,
  cost_currency TEXT,
  shelf         TEXT,
  tags          TEXT NOT NULL DEFAULT '[]'      -- JSON array of text
) STRICT;

-- One offer of a SKU on a channel. `listing_id` is the channel's own SKU id: the only key a channel keeps.
CREATE TABLE listings (
  channel           TEXT NOT NULL,
  listing_id        TEXT NOT NULL,
  product_id        TEXT,
  seller_sku        TEXT,                        -- the channel's text; may be empty or repeated
  sku               TEXT NOT NULL,
  title             TEXT,
  status            TEXT,
  warehouses        TEXT NOT NULL DEFAULT '[]',  -- JSON array of the channel's warehouse ids: a push must list them all
  channel_quantity  INTEGER,                     -- what the channel itself showed at seen_at
  wanted_quantity   INTEGER CHECK (wanted_quantity >= 0),  -- NULL: the SKU was never counted
  pushed_quantity   INTEGER CHECK (pushed_quantity >= 0),
  pushed_at         TEXT CHECK (pushed_at GLOB '????-??-??T??:??:??Z'),
  seen_at           TEXT CHECK (seen_at GLOB '????-??-??T??:??:??Z'),
  price_minor       INTEGER,
  currency          TEXT,
  weight_g          INTEGER CHECK (weight_g > 0),    -- packed, as the channel has it; a weight of the SKU itself wins
  length_mm         INTEGER CHECK (length_mm > 0),
  width_mm          INTEGER CHECK (width_mm > 0),
  height_mm         INTEGER CHECK (height_mm > 0),
  changed_at        TEXT CHECK (changed_at GLOB '????-??-??T??:??:??Z'),  -- the product's last change, by the channel's clock
  measured_at       TEXT CHECK (measured_at GLOB '????-??-??T??:??:??Z'),  -- the product's change that weight and size were read after
  is_mapped         INTEGER NOT NULL DEFAULT 0 CHECK (is_mapped IN (0, 1)),  -- by hand: the channel's text no longer says the SKU
  is_channel_bundle INTEGER NOT NULL DEFAULT 0 CHECK (is_channel_bundle IN (0, 1)),  -- the channel itself works out its quantity
  base_quantity     INTEGER,                     -- shown at base_at, by our push or when we looked: drift is measured from here
  base_at           TEXT CHECK (base_at GLOB '????-??-??T??:??:??Z'),
  -- It showed so many pieces less than is accounted for, first and last at these times: most likely sold, the orders on their way.
  unseen_quantity   INTEGER NOT NULL DEFAULT 0 CHECK (unseen_quantity >= 0),
  unseen_since      TEXT CHECK (unseen_since GLOB '????-??-??T??:??:??Z'),
  unseen_until      TEXT CHECK (unseen_until GLOB '????-??-??T??:??:??Z'),
  foreign_quantity  INTEGER CHECK (foreign_quantity >= 0),  -- somebody else set it to this: raised only with --yes
  PRIMARY KEY (channel, listing_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX listings_by_sku ON listings (sku);

CREATE TABLE orders (
  order_id               TEXT PRIMARY KEY,       -- <channel>:<the channel's id>
  channel                TEXT NOT NULL,
  channel_order_id       TEXT NOT NULL,
  status                 TEXT NOT NULL,          -- the channel's own word, known or not
  base_state             TEXT NOT NULL CHECK (base_state IN ('unpaid', 'held', 'open', 'closed', 'cancelled', 'unknown')),
  is_open                INTEGER NOT NULL CHECK (is_open IN (0, 1)),  -- unpaid, held or open: something is still promised
  held_until             TEXT CHECK (held_until GLOB '????-??-??T??:??:??Z'),
  order_type             TEXT,
  shipping_type          TEXT,                   -- TIKTOK: the channel sells the label; SELLER: our own
  fulfillment_type       TEXT,
  delivery_option_id     TEXT,
  delivery_option        TEXT,
  channel_warehouse_id   TEXT,
  is_presale             INTEGER NOT NULL DEFAULT 0 CHECK (is_presale IN (0, 1)),
  is_sample              INTEGER NOT NULL DEFAULT 0 CHECK (is_sample IN (0, 1)),
  is_replacement         INTEGER NOT NULL DEFAULT 0 CHECK (is_replacement IN (0, 1)),
  is_exchange            INTEGER NOT NULL DEFAULT 0 CHECK (is_exchange IN (0, 1)),
  cancel_requested       INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
  has_updated_address    INTEGER NOT NULL DEFAULT 0 CHECK (has_updated_address IN (0, 1)),
  address_changed_at     TEXT CHECK (address_changed_at GLOB '????-??-??T??:??:??Z'),  -- when we first saw another address
  auto_combine_group_id  TEXT,
  buyer_id               TEXT,                   -- the channel's pseudonym
  placed_at              TEXT CHECK (placed_at GLOB '????-??-??T??:??:??Z'),
  paid_at                TEXT CHECK (paid_at GLOB '????-??-??T??:??:??Z'),
  updated_at             TEXT CHECK (updated_at GLOB '????-??-??T??:??:??Z'),  -- the channel's clock
  release_at             TEXT CHECK (release_at GLOB '????-??-??T??:??:??Z'),  -- pre-orders
  rts_at                 TEXT CHECK (rts_at GLOB '????-??-??T??:??:??Z'),      -- the channel knows the shipment
  collected_at           TEXT CHECK (collected_at GLOB '????-??-??T??:??:??Z'),
  delivered_at           TEXT CHECK (delivered_at GLOB '????-??-??T??:??:??Z'),
  cancelled_at           TEXT CHECK (cancelled_at GLOB '????-??-??T??:??:??Z'),
  rts_sla_at             TEXT CHECK (rts_sla_at GLOB '????-??-??T??:??:??Z'),
  tts_sla_at             TEXT CHECK (tts_sla_at GLOB '????-??-??T??:??:??Z'),
  shipping_due_at        TEXT CHECK (shipping_due_at GLOB '????-??-??T??:??:??Z'),
  cancel_sla_at          TEXT CHECK (cancel_sla_at GLOB '????-??-??T??:??:??Z'),
  ship_by                TEXT CHECK (ship_by GLOB '????-??-??T??:??:??Z'),
  ship_by_source         TEXT NOT NULL DEFAULT 'unknown' CHECK (ship_by_source IN ('channel', 'rules', 'unknown')),
  currency               TEXT,
  total_minor            INTEGER,                -- what the buyer pays, tax and shipping in
  subtotal_minor         INTEGER,
  tax_minor              INTEGER,
  shipping_minor         INTEGER,
  platform_discount_minor INTEGER,
  seller_discount_minor  INTEGER,
  shipping_platform_discount_minor INTEGER,
  shipping_seller_discount_minor   INTEGER,
  weight_g               INTEGER,                -- the channel's own figure for the order, if it gave one
  buyer_note             TEXT,
  seller_note            TEXT,
  source                 TEXT NOT NULL CHECK (source IN ('api', 'file')),
  as_of                  TEXT NOT NULL CHECK (as_of GLOB '????-??-??T??:??:??Z'),      -- when this row was true
  digest                 BLOB,                   -- of the channel's answer: equal means unchanged
  first_seen_at          TEXT NOT NULL CHECK (first_seen_at GLOB '????-??-??T??:??:??Z'),
  synced_at              TEXT NOT NULL CHECK (synced_at GLOB '????-??-??T??:??:??Z'),
  collection_due_at      TEXT CHECK (collection_due_at GLOB '????-??-??T??:??:??Z'),  -- cancelled by the channel when not scanned by then
  delivery_due_at        TEXT CHECK (delivery_due_at GLOB '????-??-??T??:??:??Z'),
  delivery_sla_at        TEXT CHECK (delivery_sla_at GLOB '????-??-??T??:??:??Z'),
  handling_days          INTEGER,                -- made-to-order, back-order
  handling_days_kind     TEXT,                   -- CALENDAR_DAY, BUSINESS_DAY
  is_refundable_sample   INTEGER NOT NULL DEFAULT 0 CHECK (is_refundable_sample IN (0, 1)),
  split_or_combine       TEXT,                   -- COMBINED, SPLIT: what the channel did with the order
  cancel_requested_at    TEXT CHECK (cancel_requested_at GLOB '????-??-??T??:??:??Z'),
  cancelled_by           TEXT,                   -- BUYER, SELLER, SYSTEM
  cancel_reason          TEXT,
  other_amounts          TEXT,                   -- JSON object: further amounts that are not 0, in minor units, by the channel's names
  address_version        INTEGER NOT NULL DEFAULT 1,  -- one more with every other address: tells before from after, as no clock does
  UNIQUE (channel_order_id, channel)
) STRICT;
-- With the flag in front SQLite takes it for a search of few rows, statistics or none.
CREATE INDEX orders_open ON orders (is_open, ship_by) WHERE is_open = 1;
CREATE INDEX orders_asking ON orders (cancel_requested) WHERE cancel_requested = 1;
CREATE INDEX orders_by_placing ON orders (placed_at);
CREATE INDEX orders_by_cancelling ON orders (cancelled_at) WHERE cancelled_at IS NOT NULL;
CREATE TRIGGER orders_number_their_addresses AFTER UPDATE OF address_changed_at ON orders WHEN NEW.address_changed_at IS NOT NULL
BEGIN UPDATE orders SET address_version = address_version + 1 WHERE order_id = NEW.order_id; END;

CREATE TABLE packages (
  package_id    TEXT PRIMARY KEY CHECK (package_id GLOB 'P[0-9]*'),
  channel       TEXT NOT NULL,
  planned_at    TEXT NOT NULL CHECK (planned_at GLOB '????-??-??T??:??:??Z'),
  merged_into   TEXT REFERENCES packages,
  wait_until    TEXT CHECK (wait_until GLOB '????-??-??T??:??:??Z'),
  carrier       TEXT,
  service_level TEXT,
  because       TEXT,                            -- the name of the rule that said so
  weight_g      INTEGER CHECK (weight_g >= 0),   -- packed, box in; NULL: unknown
  allocated_at  TEXT CHECK (allocated_at GLOB '????-??-??T??:??:??Z'),
  cancelled_at  TEXT CHECK (cancelled_at GLOB '????-??-??T??:??:??Z'),
  scanned_at    TEXT CHECK (scanned_at GLOB '????-??-??T??:??:??Z'),
  delivered_at  TEXT CHECK (delivered_at GLOB '????-??-??T??:??:??Z'),
  box           TEXT,                            -- a name in `boxes`
  ship_from     TEXT,                            -- a name in `senders`; NULL: shop.ship_from
  signature     TEXT CHECK (signature IN ('standard', 'adult')),
  insurance_minor    INTEGER CHECK (insurance_minor > 0),
  insurance_currency TEXT,
  tags          TEXT NOT NULL DEFAULT '[]',      -- JSON array of text: what rules have added
  print_note    TEXT,                            -- for the packing slip
  fallbacks     TEXT NOT NULL DEFAULT '[]',      -- JSON array of [carrier, service level]: what comes next when a label is refused
  price_minor   INTEGER,                         -- what the choice was compared by; NULL: nothing was compared
  price_currency TEXT,
  price_source  TEXT,                            -- rates, tiktok, easypost
  hold_because  TEXT,                            -- a rule's reason to keep it back
  decided_for   TEXT,                            -- fingerprint of recipient, sender, pieces, box and options that it was decided for
  CHECK (allocated_at IS NULL OR (carrier IS NOT NULL AND because IS NOT NULL))
) STRICT;
CREATE INDEX packages_unallocated ON packages (package_id) WHERE allocated_at IS NULL AND cancelled_at IS NULL;
CREATE INDEX packages_unscanned ON packages (package_id) WHERE scanned_at IS NULL AND delivered_at IS NULL AND cancelled_at IS NULL;
-- Those that were decided about, so that a label may lie here.
CREATE INDEX packages_cancelled_late ON packages (cancelled_at)
  WHERE cancelled_at IS NOT NULL AND carrier IS NOT NULL AND merged_into IS NULL;
CREATE INDEX packages_by_number ON packages (CAST(substr(package_id, 2) AS INTEGER));

CREATE TABLE package_orders (
  package_id         TEXT NOT NULL REFERENCES packages,
  order_id           TEXT NOT NULL REFERENCES orders,
  channel_package_id TEXT,                       -- the channel's id; having one does not mean shipped
  uploaded_at        TEXT CHECK (uploaded_at GLOB '????-??-??T??:??:??Z'),  -- the channel knows the tracking number
  decided_address_version INTEGER NOT NULL DEFAULT 1,  -- orders.address_version that the package was decided for
  label_address_version   INTEGER NOT NULL DEFAULT 1,  -- that its label was bought for
  PRIMARY KEY (package_id, order_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX package_orders_by_order ON package_orders (order_id);
CREATE INDEX package_orders_by_channel_package ON package_orders (channel_package_id) WHERE channel_package_id IS NOT NULL;

-- Orders the seller keeps back, whatever the rules say.
CREATE TABLE holds (
  order_id TEXT PRIMARY KEY REFERENCES orders,
  because  TEXT NOT NULL,
  since    TEXT NOT NULL CHECK (since GLOB '????-??-??T??:??:??Z')
) STRICT, WITHOUT ROWID;

-- Causes of quarantine that the seller has looked at and decided to go on with.
CREATE TABLE overrides (
  order_id TEXT NOT NULL REFERENCES orders,
  cause    TEXT NOT NULL,
  because  TEXT NOT NULL,
  at       TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??Z'),
  run_id   INTEGER REFERENCES runs,
  PRIMARY KEY (order_id, cause)
) STRICT, WITHOUT ROWID;

-- One row per physical piece.
CREATE TABLE units (
  unit_id            TEXT PRIMARY KEY,           -- <channel>:<line item id>, or <order_id>/<sku id>/<n> when a file told first
  order_id           TEXT NOT NULL REFERENCES orders,
  channel_unit_id    TEXT,
  position           INTEGER NOT NULL,           -- as the channel lists them
  sku                TEXT NOT NULL,              -- ours; the channel's SKU id while nothing better is known
  channel_sku_id     TEXT NOT NULL,
  product_id         TEXT,
  product_name       TEXT,
  variant_name       TEXT,
  price_minor        INTEGER,
  status             TEXT NOT NULL,              -- the channel's own word
  state              TEXT NOT NULL CHECK (state IN ('open', 'shipped', 'cancelled', 'unknown')),
  channel_package_id TEXT,
  tracking_number    TEXT,
  provider_name      TEXT,
  is_gift            INTEGER NOT NULL DEFAULT 0 CHECK (is_gift IN (0, 1)),
  creator            TEXT,
  content_type       TEXT,
  content_id         TEXT,
  package_id         TEXT REFERENCES packages,
  original_price_minor    INTEGER,
  platform_discount_minor INTEGER,
  seller_discount_minor   INTEGER,
  cancelled_by       TEXT,                       -- BUYER, SELLER, OPERATOR, SYSTEM
  cancel_reason      TEXT,
  should_restock     INTEGER CHECK (should_restock IN (0, 1)),  -- the channel puts a cancelled piece back on sale; NULL: not told
  is_returned        INTEGER NOT NULL DEFAULT 0 CHECK (is_returned IN (0, 1))  -- as an export tells it
) STRICT;
CREATE INDEX units_by_order ON units (order_id);
CREATE INDEX units_by_package ON units (package_id);
-- Units that the API told first have the channel's id in their own.
CREATE UNIQUE INDEX units_by_channel_id ON units (order_id, channel_unit_id)
  WHERE channel_unit_id IS NOT NULL AND unit_id GLOB '*/*/*';

-- Units whose cancellation says something of their stock that nobody has followed yet: reserve-stock empties it.
CREATE TABLE restocking (
  unit_id TEXT PRIMARY KEY REFERENCES units
) STRICT, WITHOUT ROWID;
CREATE TRIGGER units_tell_of_restocking AFTER UPDATE OF state, should_restock ON units
  WHEN NEW.should_restock IS NOT NULL AND (NEW.state <> OLD.state OR NEW.should_restock IS NOT OLD.should_restock)
BEGIN INSERT OR IGNORE INTO restocking VALUES (NEW.unit_id); END;

-- What a unit is made of where the channel sells a bundle: what to pick.
CREATE TABLE unit_components (
  unit_id        TEXT NOT NULL REFERENCES units,
  sku            TEXT NOT NULL,                  -- ours; the channel's SKU id while nothing better is known
  channel_sku_id TEXT NOT NULL,                  -- empty: not told
  quantity       INTEGER NOT NULL CHECK (quantity > 0),
  PRIMARY KEY (unit_id, sku)
) STRICT, WITHOUT ROWID;

-- What happened to an order and matters later: cancel_requested, cancel_withdrawn, address_changed, on_hold_again,
-- combined, split, cancelled, reopened.
CREATE TABLE order_events (
  event_id INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id TEXT NOT NULL REFERENCES orders,
  kind     TEXT NOT NULL,
  at       TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??Z'),       -- by the channel's clock where it told one
  seen_at  TEXT NOT NULL CHECK (seen_at GLOB '????-??-??T??:??:??Z'),
  detail   TEXT,                                 -- no personal data
  run_id   INTEGER REFERENCES runs,
  UNIQUE (order_id, kind, at)
) STRICT;

-- Cancellations as the channel tells them; the order may not be here yet.
CREATE TABLE cancellations (
  channel        TEXT NOT NULL,
  cancel_id      TEXT NOT NULL,
  order_id       TEXT NOT NULL,
  kind           TEXT,                           -- CANCEL, BUYER_CANCEL
  status         TEXT NOT NULL,                  -- the channel's own word
  is_pending     INTEGER NOT NULL CHECK (is_pending IN (0, 1)),  -- waits for the seller's answer
  role           TEXT,                           -- BUYER, SELLER, OPERATOR, SYSTEM
  reason         TEXT,                           -- the channel's code
  created_at     TEXT CHECK (created_at GLOB '????-??-??T??:??:??Z'),
  updated_at     TEXT CHECK (updated_at GLOB '????-??-??T??:??:??Z'),
  answer_by      TEXT CHECK (answer_by GLOB '????-??-??T??:??:??Z'),
  should_restock INTEGER CHECK (should_restock IN (0, 1)),
  refund_minor   INTEGER,
  currency       TEXT,
  channel_unit_ids TEXT NOT NULL DEFAULT '[]',   -- JSON array of the channel's line item ids; empty: the whole order
  fetched_at     TEXT NOT NULL CHECK (fetched_at GLOB '????-??-??T??:??:??Z'),
  PRIMARY KEY (channel, cancel_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX cancellations_by_order ON cancellations (order_id);
CREATE INDEX cancellations_by_fetching ON cancellations (fetched_at);

-- What creators earn of an order, a row per SKU and creator; the order may not be here yet.
CREATE TABLE commissions (
  channel          TEXT NOT NULL,
  order_id         TEXT NOT NULL,
  channel_sku_id   TEXT NOT NULL,
  creator          TEXT NOT NULL,
  content_type     TEXT NOT NULL,                -- SHOP, VIDEO, LIVE, ...; empty: not told
  content_id       TEXT NOT NULL,
  quantity         INTEGER NOT NULL CHECK (quantity >= 0),
  commission_rate_bp INTEGER,                    -- hundredths of a per cent
  estimated_commission_minor INTEGER,
  actual_commission_minor    INTEGER,            -- NULL: not settled
  partner_commission_minor   INTEGER,            -- actual where settled, else estimated
  shop_ads_commission_minor  INTEGER,
  currency         TEXT,
  settlement_status TEXT,
  is_fully_returned INTEGER CHECK (is_fully_returned IN (0, 1)),
  is_on_units      INTEGER NOT NULL CHECK (is_on_units IN (0, 1)),  -- the order's units carry creator and content
  fetched_at       TEXT NOT NULL CHECK (fetched_at GLOB '????-??-??T??:??:??Z'),
  PRIMARY KEY (channel, order_id, channel_sku_id, creator, content_type, content_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX commissions_to_place ON commissions (order_id) WHERE is_on_units = 0;

-- Personal data, apart so that it can leave on request.
CREATE TABLE recipients (
  order_id     TEXT PRIMARY KEY REFERENCES orders,
  name         TEXT,
  phone        TEXT,
  email        TEXT,
  street1      TEXT,
  street2      TEXT,
  city         TEXT,
  state        TEXT,                             -- two letters where they could be told
  zip          TEXT,
  country      TEXT,
  full_address TEXT,
  is_masked    INTEGER NOT NULL CHECK (is_masked IN (0, 1))
) STRICT;

CREATE TABLE raw_dictionaries (
  dictionary_id INTEGER PRIMARY KEY,
  body          BLOB NOT NULL
) STRICT;

-- The channel's last answer about each order, word for word: zlib with a preset dictionary.
CREATE TABLE raw_answers (
  order_id      TEXT PRIMARY KEY REFERENCES orders,
  dictionary_id INTEGER NOT NULL REFERENCES raw_dictionaries,
  body          BLOB NOT NULL,
  fetched_at    TEXT NOT NULL CHECK (fetched_at GLOB '????-??-??T??:??:??Z')
) STRICT;

CREATE TABLE batches (
  batch_id   INTEGER PRIMARY KEY,                -- B07 is 7
  directory  TEXT NOT NULL,                      -- as seen from the database's folder
  created_at TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??Z'),
  run_id     INTEGER REFERENCES runs,
  station    TEXT,                               -- who packs it; NULL: whoever comes
  copied_at  TEXT CHECK (copied_at GLOB '????-??-??T??:??:??Z')  -- its copies are where --out said; NULL: the next run makes them
) STRICT;
CREATE INDEX batches_to_copy ON batches (batch_id) WHERE copied_at IS NULL;

-- Who is about to print which package, so that two stations never print the same one.
CREATE TABLE claims (
  package_id TEXT PRIMARY KEY REFERENCES packages,
  station    TEXT NOT NULL,
  batch_id   INTEGER NOT NULL,                   -- the number that the batch will have
  until      TEXT NOT NULL CHECK (until GLOB '????-??-??T??:??:??Z')
) STRICT, WITHOUT ROWID;

-- Boxes that were packed: checked by scanning (`pack`), or as people say it (`resume`). The carrier's own scan is
-- packages.scanned_at.
CREATE TABLE packings (
  package_id TEXT PRIMARY KEY REFERENCES packages,
  station    TEXT NOT NULL,                      -- empty: by hand
  packed_at  TEXT NOT NULL CHECK (packed_at GLOB '????-??-??T??:??:??Z'),
  because    TEXT NOT NULL DEFAULT 'pack',       -- pack, tick, scan
  run_id     INTEGER REFERENCES runs
) STRICT, WITHOUT ROWID;
CREATE INDEX packings_by_station ON packings (station, packed_at);

-- Boxes that are being packed, or were put aside unfinished. The first station that opens one has it.
CREATE TABLE open_boxes (
  package_id TEXT PRIMARY KEY REFERENCES packages,
  station    TEXT NOT NULL,
  holder     TEXT,                               -- the process that has it open; NULL: put aside
  pieces     TEXT NOT NULL DEFAULT '{}',         -- JSON object: pieces in the box by SKU
  opened_at  TEXT NOT NULL CHECK (opened_at GLOB '????-??-??T??:??:??Z')
) STRICT, WITHOUT ROWID;

-- Jobs handed to printers. A label counts as printed when its job is `done`.
CREATE TABLE print_jobs (
  job_id      INTEGER PRIMARY KEY AUTOINCREMENT,
  batch_id    INTEGER NOT NULL REFERENCES batches,
  printer     TEXT,                              -- a queue's name, or an address without a password; NULL: any
  first       INTEGER NOT NULL,                  -- positions within the batch, both ends in
  last        INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('planned', 'sent', 'done', 'failed', 'unknown')),
  printer_job TEXT,                              -- the printer's own name of the job
  detail      TEXT,
  sent_at     TEXT CHECK (sent_at GLOB '????-??-??T??:??:??Z'),
  ended_at    TEXT CHECK (ended_at GLOB '????-??-??T??:??:??Z'),
  run_id      INTEGER REFERENCES runs,
  CHECK (state = 'planned' OR sent_at IS NOT NULL)
) STRICT;
CREATE INDEX print_jobs_open ON print_jobs (batch_id) WHERE state <> 'done';

-- What a label source would ask for a package, the newest per service. A quote is bought by its id.
CREATE TABLE quotes (
  package_id    TEXT NOT NULL REFERENCES packages,
  source        TEXT NOT NULL,                   -- easypost
  carrier       TEXT NOT NULL,
  service_level TEXT NOT NULL,
  cost_minor    INTEGER NOT NULL CHECK (cost_minor >= 0),
  currency      TEXT NOT NULL,
  transit_days  INTEGER,                         -- NULL: not told
  quote_id      TEXT NOT NULL,
  weight_g      INTEGER NOT NULL,                -- what was quoted for; another weight needs another quote
  quoted_at     TEXT NOT NULL CHECK (quoted_at GLOB '????-??-??T??:??:??Z'),
  made_for      TEXT NOT NULL DEFAULT '',        -- fingerprint of the parcel that was quoted; another one needs another quote
  PRIMARY KEY (package_id, source, carrier, service_level)
) STRICT, WITHOUT ROWID;

-- The purchase journal and the label store's index. At most one live label per package.
CREATE TABLE labels (
  label_id           INTEGER PRIMARY KEY AUTOINCREMENT,
  package_id         TEXT NOT NULL REFERENCES packages,
  state              TEXT NOT NULL CHECK (state IN ('intent', 'sent', 'unknown', 'bought', 'refused', 'voided')),
  source             TEXT NOT NULL,              -- tiktok, file, channel (a number the channel told us), easypost
  carrier            TEXT,
  service_level      TEXT,
  tracking_number    TEXT,
  channel_package_id TEXT,                       -- told by the answer to the purchase
  cost_minor         INTEGER,
  currency           TEXT,
  sha256             TEXT,                       -- of the document in the label store; NULL: a bare number, nothing to print
  pages              INTEGER,
  barcode            TEXT CHECK (barcode IN ('match', 'contradiction', 'unreadable', 'unknown_form')),
  request_id         TEXT,
  error_code         TEXT,
  intent_at          TEXT NOT NULL CHECK (intent_at GLOB '????-??-??T??:??:??Z'),
  sent_at            TEXT CHECK (sent_at GLOB '????-??-??T??:??:??Z'),
  bought_at          TEXT CHECK (bought_at GLOB '????-??-??T??:??:??Z'),
  printed_at         TEXT CHECK (printed_at GLOB '????-??-??T??:??:??Z'),
  batch_id           INTEGER REFERENCES batches,
  position           INTEGER,                    -- within the batch, from 1
  run_id             INTEGER REFERENCES runs,
  quote_id           TEXT,                       -- the source's shipment and rate, stored before anything is bought
  void_sent_at       TEXT CHECK (void_sent_at GLOB '????-??-??T??:??:??Z'),  -- the money back was asked for
  voided_at          TEXT CHECK (voided_at GLOB '????-??-??T??:??:??Z'),
  refund_status      TEXT,                       -- the source's own word: submitted, refunded, rejected, not_applicable
  page               INTEGER,                    -- the first of its pages in the batch's labels.pdf, from 1
  refund_read_at     TEXT CHECK (refund_read_at GLOB '????-??-??T??:??:??Z'),  -- the source was last asked about the refund
  made_for           TEXT,                       -- fingerprint of the parcel and the choice that it is bought for
  address_check      TEXT CHECK (address_check IN ('match', 'contradiction', 'unreadable')),  -- the label's own address and ours
  on_request         INTEGER NOT NULL DEFAULT 0 CHECK (on_request IN (0, 1)),  -- printed only by `labels adopt`: not bought by this database, or perhaps on paper since a backup
  on_paper_at        TEXT CHECK (on_paper_at GLOB '????-??-??T??:??:??Z'),  -- a printer, a person, a packer or the carrier said so
  CHECK (state <> 'bought' OR bought_at IS NOT NULL),
  CHECK (state NOT IN ('sent', 'unknown') OR sent_at IS NOT NULL),
  CHECK ((cost_minor IS NULL) = (currency IS NULL))
) STRICT;
CREATE UNIQUE INDEX labels_one_live ON labels (package_id) WHERE state IN ('intent', 'sent', 'unknown', 'bought');
CREATE INDEX labels_by_tracking ON labels (tracking_number) WHERE tracking_number IS NOT NULL;
CREATE INDEX labels_by_channel_package ON labels (channel_package_id) WHERE channel_package_id IS NOT NULL;
CREATE INDEX labels_as_scanned ON labels (upper(tracking_number));
CREATE INDEX labels_by_package ON labels (package_id);
CREATE INDEX labels_by_batch ON labels (batch_id, position) WHERE batch_id IS NOT NULL;
CREATE INDEX labels_by_run ON labels (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX labels_by_sending ON labels (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX labels_unsettled ON labels (state) WHERE state IN ('intent', 'sent', 'unknown');
CREATE INDEX labels_by_source ON labels (source) WHERE sent_at IS NOT NULL;
CREATE INDEX labels_by_quote ON labels (quote_id) WHERE quote_id IS NOT NULL;
CREATE INDEX labels_given_back ON labels (package_id) WHERE state = 'voided';
CREATE INDEX labels_to_print ON labels (package_id) WHERE state = 'bought' AND printed_at IS NULL AND sha256 IS NOT NULL;
CREATE INDEX labels_not_on_paper ON labels (batch_id, position) WHERE state = 'bought' AND batch_id IS NOT NULL AND on_paper_at IS NULL;
CREATE INDEX labels_refund_open ON labels (label_id) WHERE state = 'voided' AND refund_status NOT IN ('refunded', 'rejected', 'not_applicable', 'elsewhere');

CREATE TRIGGER labels_of_moving_parcels_are_on_paper AFTER UPDATE OF scanned_at, delivered_at ON packages
WHEN NEW.scanned_at IS NOT NULL OR NEW.delivered_at IS NOT NULL
BEGIN
  UPDATE labels SET on_paper_at = coalesce(NEW.scanned_at, NEW.delivered_at)
    WHERE package_id = NEW.package_id AND state = 'bought' AND on_paper_at IS NULL;
END;

-- What a label was bought for must stay together, and nothing may slip in beside it.
CREATE TRIGGER package_orders_stay_with_their_label BEFORE UPDATE OF package_id ON package_orders
WHEN EXISTS (SELECT 1 FROM labels l WHERE l.package_id IN (OLD.package_id, NEW.package_id)
             AND l.state IN ('intent', 'sent', 'unknown', 'bought'))
BEGIN SELECT RAISE(ABORT, 'a package with a label keeps its orders'); END;

CREATE TRIGGER labels_are_never_forgotten BEFORE DELETE ON labels
BEGIN SELECT RAISE(ABORT, 'a label row is never deleted'); END;

-- Sheets whose one barcode stands for many parcels. Written down before one is asked for.
CREATE TABLE scan_forms (
  form_id        INTEGER PRIMARY KEY AUTOINCREMENT,
  source         TEXT NOT NULL,                  -- easypost
  carrier        TEXT NOT NULL,
  day            TEXT NOT NULL CHECK (day GLOB '????-??-??'),  -- the labels were bought then, by the shop's clock
  ship_from      TEXT,                           -- of `senders` in rules.yaml; NULL: the shop's own
  state          TEXT NOT NULL CHECK (state IN ('intent', 'sent', 'unknown', 'made', 'failed')),
  source_form_id TEXT,
  url            TEXT,                           -- of the document; NULL while the source is making it
  sha256         TEXT,                           -- of the document in the label store
  error_code     TEXT,                           -- refused, not_sent, dropped (never sent), given_up (by a person)
  intent_at      TEXT NOT NULL CHECK (intent_at GLOB '????-??-??T??:??:??Z'),
  sent_at        TEXT CHECK (sent_at GLOB '????-??-??T??:??:??Z'),
  made_at        TEXT CHECK (made_at GLOB '????-??-??T??:??:??Z'),
  written_at     TEXT CHECK (written_at GLOB '????-??-??T??:??:??Z'),  -- somebody has the file
  run_id         INTEGER REFERENCES runs,
  CHECK (state NOT IN ('sent', 'unknown', 'made') OR sent_at IS NOT NULL),
  CHECK (state <> 'made' OR made_at IS NOT NULL)
) STRICT;
CREATE INDEX scan_forms_open ON scan_forms (form_id) WHERE state IN ('intent', 'sent', 'unknown') OR (state = 'made' AND written_at IS NULL);
CREATE INDEX scan_forms_unsettled ON scan_forms (state) WHERE state IN ('sent', 'unknown');

CREATE TABLE scan_form_labels (
  label_id INTEGER NOT NULL REFERENCES labels,
  form_id  INTEGER NOT NULL REFERENCES scan_forms,
  PRIMARY KEY (label_id, form_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX scan_form_labels_by_form ON scan_form_labels (form_id);

CREATE TRIGGER scan_form_labels_are_on_one_form BEFORE INSERT ON scan_form_labels
BEGIN
  SELECT RAISE(ABORT, 'a label is on one scan form') WHERE EXISTS (SELECT 1 FROM scan_form_labels o JOIN scan_forms f USING (form_id)
    WHERE o.label_id = NEW.label_id AND f.state <> 'failed');
  SELECT RAISE(ABORT, 'a label that was taken back is on no scan form') WHERE EXISTS (SELECT 1 FROM labels
    WHERE label_id = NEW.label_id AND (state IN ('refused', 'voided') OR void_sent_at IS NOT NULL));
END;
CREATE TRIGGER scan_forms_stay_failed BEFORE UPDATE OF state ON scan_forms WHEN OLD.state = 'failed' AND NEW.state <> 'failed'
BEGIN SELECT RAISE(ABORT, 'a scan form that failed is not used again'); END;
CREATE TRIGGER scan_forms_are_never_forgotten BEFORE DELETE ON scan_forms
BEGIN SELECT RAISE(ABORT, 'a scan form is never deleted'); END;

-- Counted stock. Written by the triggers below alone.
CREATE TABLE stock (
  sku        TEXT NOT NULL,
  warehouse  TEXT NOT NULL,
  on_hand    INTEGER NOT NULL CHECK (on_hand >= 0),
  reserved   INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  counted_at TEXT CHECK (counted_at GLOB '????-??-??T??:??:??Z'),  -- the last count that changed anything
  PRIMARY KEY (sku, warehouse),
  CHECK (reserved <= on_hand)
) STRICT, WITHOUT ROWID;

-- What is kept back of everything that is offered, and why: `basis` is a JSON object.
CREATE TABLE safety_stock (
  sku       TEXT NOT NULL,
  warehouse TEXT NOT NULL,
  quantity  INTEGER NOT NULL CHECK (quantity >= 0),
  basis     TEXT,
  PRIMARY KEY (sku, warehouse)
) STRICT, WITHOUT ROWID;

-- Where a rule keeps more back from one channel than from the others.
CREATE TABLE channel_safety_stock (
  channel   TEXT NOT NULL,
  sku       TEXT NOT NULL,
  warehouse TEXT NOT NULL,
  quantity  INTEGER NOT NULL CHECK (quantity >= 0),
  basis     TEXT,
  PRIMARY KEY (channel, sku, warehouse)
) STRICT, WITHOUT ROWID;

-- Bundles of the seller's own: a SKU that is picked as others. It has no count of its own.
CREATE TABLE sku_components (
  sku       TEXT NOT NULL,
  component TEXT NOT NULL,
  quantity  INTEGER NOT NULL CHECK (quantity > 0),
  mapped_at TEXT NOT NULL CHECK (mapped_at GLOB '????-??-??T??:??:??Z'),
  PRIMARY KEY (sku, component),
  CHECK (sku <> component)
) STRICT, WITHOUT ROWID;

-- Live streams. Safety stock may ask for them, and orders placed in one may wait for each other.
CREATE TABLE live_sessions (
  session_id INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL,
  skus       TEXT NOT NULL DEFAULT '[]',         -- JSON array of SKU globs; empty: every SKU
  started_at TEXT NOT NULL CHECK (started_at GLOB '????-??-??T??:??:??Z'),
  ended_at   TEXT CHECK (ended_at GLOB '????-??-??T??:??:??Z')
) STRICT;
CREATE UNIQUE INDEX live_sessions_running ON live_sessions (name) WHERE ended_at IS NULL;
CREATE INDEX live_sessions_by_end ON live_sessions (coalesce(ended_at, '9'));

-- The ledger: append only. `quantity` is the change of on_hand, `reserved` that of reserved.
CREATE TABLE stock_moves (
  move_id   INTEGER PRIMARY KEY AUTOINCREMENT,
  sku       TEXT NOT NULL,
  warehouse TEXT NOT NULL,
  kind      TEXT NOT NULL CHECK (kind IN ('received', 'counted', 'adjusted', 'reserved', 'released', 'shipped', 'returned', 'transferred')),
  quantity  INTEGER NOT NULL,
  because   TEXT NOT NULL,
  reference TEXT,                                -- unit id, order id, file, the other warehouse
  at        TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??Z'),
  reserved  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX stock_moves_by_sku ON stock_moves (sku);
CREATE INDEX stock_moves_returned ON stock_moves (reference) WHERE kind = 'returned';

CREATE TRIGGER stock_moves_are_applied AFTER INSERT ON stock_moves
BEGIN
  SELECT RAISE(ABORT, 'a unit of an uncounted SKU cannot be held') WHERE NEW.kind = 'reserved'
    AND NOT EXISTS (SELECT 1 FROM stock WHERE sku = NEW.sku AND warehouse = NEW.warehouse);
  -- Not an upsert: its CHECK would be asked about the change alone, and a change may be negative.
  INSERT INTO stock (sku, warehouse, on_hand) SELECT NEW.sku, NEW.warehouse, 0
    WHERE NOT EXISTS (SELECT 1 FROM stock WHERE sku = NEW.sku AND warehouse = NEW.warehouse);
  UPDATE stock SET on_hand = on_hand + NEW.quantity, reserved = reserved + NEW.reserved,
    counted_at = CASE WHEN NEW.kind = 'counted' THEN NEW.at ELSE counted_at END
    WHERE sku = NEW.sku AND warehouse = NEW.warehouse;
END;
CREATE TRIGGER stock_moves_are_never_changed BEFORE UPDATE ON stock_moves
BEGIN SELECT RAISE(ABORT, 'a stock move is never changed; add one that corrects it'); END;
CREATE TRIGGER stock_moves_are_never_deleted BEFORE DELETE ON stock_moves
BEGIN SELECT RAISE(ABORT, 'a stock move is never deleted; add one that corrects it'); END;

CREATE TABLE reservations (
  unit_id   TEXT PRIMARY KEY REFERENCES units,   -- one per physical unit: a second run cannot reserve twice
  sku       TEXT NOT NULL,
  warehouse TEXT NOT NULL,
  state     TEXT NOT NULL CHECK (state IN ('held', 'short', 'shipped', 'released')),
  held_at   TEXT NOT NULL CHECK (held_at GLOB '????-??-??T??:??:??Z'),
  ended_at  TEXT CHECK (ended_at GLOB '????-??-??T??:??:??Z'),
  ended_from  TEXT CHECK (ended_from IN ('held', 'short', 'shipped')),
  is_written_off INTEGER NOT NULL DEFAULT 0 CHECK (is_written_off IN (0, 1))  -- the channel does not put the piece back on sale
) STRICT;
CREATE INDEX reservations_by_sku ON reservations (sku, warehouse, state);
CREATE INDEX reservations_open ON reservations (state, sku) WHERE state IN ('held', 'short');

-- What a bundle's unit holds: all of it or nothing. A unit without rows here holds one piece of its SKU. A component that
-- was never counted is told and not held.
CREATE TABLE reservation_parts (
  unit_id    TEXT NOT NULL REFERENCES units,
  sku        TEXT NOT NULL,
  quantity   INTEGER NOT NULL CHECK (quantity > 0),
  is_counted INTEGER NOT NULL CHECK (is_counted IN (0, 1)),
  PRIMARY KEY (unit_id, sku)
) STRICT, WITHOUT ROWID;
CREATE INDEX reservation_parts_by_sku ON reservation_parts (sku);
CREATE INDEX reservation_parts_uncounted ON reservation_parts (sku) WHERE is_counted = 0;
CREATE TRIGGER reservation_parts_come_first BEFORE INSERT ON reservation_parts
  WHEN (SELECT state FROM reservations WHERE unit_id = NEW.unit_id) IN ('held', 'shipped')
BEGIN SELECT RAISE(ABORT, 'release a reservation before its parts change'); END;
CREATE TRIGGER reservation_parts_are_never_changed BEFORE UPDATE ON reservation_parts
BEGIN SELECT RAISE(ABORT, 'a part of a reservation is never changed'); END;
CREATE TRIGGER reservation_parts_stay BEFORE DELETE ON reservation_parts
  WHEN (SELECT state FROM reservations WHERE unit_id = OLD.unit_id) IN ('held', 'shipped')
BEGIN SELECT RAISE(ABORT, 'release a reservation before its parts change'); END;

-- The pieces that a unit's reservation is about.
CREATE VIEW v_reserved_pieces AS
SELECT r.unit_id, r.warehouse, r.state, r.sku, 1 AS quantity FROM reservations r
  WHERE NOT EXISTS (SELECT 1 FROM reservation_parts p WHERE p.unit_id = r.unit_id)
UNION ALL
SELECT r.unit_id, r.warehouse, r.state, p.sku, p.quantity FROM reservations r JOIN reservation_parts p USING (unit_id)
  WHERE p.is_counted = 1;

CREATE TRIGGER reservations_hold_stock AFTER INSERT ON reservations WHEN NEW.state = 'held'
BEGIN
  INSERT INTO stock_moves (sku, warehouse, kind, quantity, reserved, because, reference, at)
    SELECT sku, warehouse, 'reserved', 0, quantity, 'promised', unit_id, NEW.held_at FROM v_reserved_pieces WHERE unit_id = NEW.unit_id;
END;
CREATE TRIGGER reservations_take_stock AFTER UPDATE OF state ON reservations WHEN NEW.state = 'held' AND OLD.state <> 'held'
BEGIN
  INSERT INTO stock_moves (sku, warehouse, kind, quantity, reserved, because, reference, at)
    SELECT sku, warehouse, 'reserved', 0, quantity, 'promised', unit_id, NEW.held_at FROM v_reserved_pieces WHERE unit_id = NEW.unit_id;
END;
-- A piece that has left: on hand and reserved fall together.
CREATE TRIGGER reservations_give_stock_back AFTER UPDATE OF state ON reservations WHEN OLD.state = 'held' AND NEW.state <> 'held'
BEGIN
  INSERT INTO stock_moves (sku, warehouse, kind, quantity, reserved, because, reference, at)
    SELECT sku, OLD.warehouse, CASE NEW.state WHEN 'shipped' THEN 'shipped' ELSE 'released' END,
      CASE NEW.state WHEN 'shipped' THEN -quantity ELSE 0 END, -quantity,
      CASE NEW.state WHEN 'short' THEN 'an earlier deadline or a lower count' WHEN 'shipped' THEN 'shipped' ELSE 'no longer promised' END,
      unit_id, CASE NEW.state WHEN 'shipped' THEN NEW.ended_at ELSE coalesce(NEW.ended_at, NEW.held_at) END FROM v_reserved_pieces WHERE unit_id = NEW.unit_id;
END;
-- What was taken for shipped and did not leave after all is on the shelf again, if it ever counted as gone.
CREATE TRIGGER reservations_come_back AFTER UPDATE OF state ON reservations
  WHEN OLD.state = 'shipped' AND NEW.state = 'released' AND OLD.ended_from = 'held'
BEGIN
  INSERT INTO stock_moves (sku, warehouse, kind, quantity, because, reference, at)
    SELECT sku, OLD.warehouse, 'returned', quantity, 'never left', unit_id, NEW.ended_at FROM v_reserved_pieces WHERE unit_id = NEW.unit_id;
END;
CREATE TRIGGER reservations_are_written_off AFTER UPDATE OF is_written_off ON reservations WHEN OLD.is_written_off <> NEW.is_written_off
BEGIN
  INSERT INTO stock_moves (sku, warehouse, kind, quantity, because, reference, at)
    SELECT sku, NEW.warehouse, 'adjusted', CASE NEW.is_written_off WHEN 1 THEN -quantity ELSE quantity END,
      CASE NEW.is_written_off WHEN 1 THEN 'cancelled, and the channel does not put it back on sale'
        ELSE 'cancelled, and the channel puts it back on sale after all' END,
      unit_id, NEW.ended_at FROM v_reserved_pieces WHERE unit_id = NEW.unit_id;
END;
CREATE TRIGGER reservations_shipped_stay_shipped BEFORE UPDATE OF state ON reservations
  WHEN OLD.state = 'shipped' AND NEW.state NOT IN ('shipped', 'released')
BEGIN SELECT RAISE(ABORT, 'what has left is not reserved again'); END;
CREATE TRIGGER reservations_keep_their_place BEFORE UPDATE OF sku, warehouse ON reservations WHEN OLD.state = 'held' AND NEW.state = 'held'
BEGIN SELECT RAISE(ABORT, 'release a reservation before it moves'); END;
CREATE TRIGGER reservations_are_never_deleted BEFORE DELETE ON reservations
BEGIN SELECT RAISE(ABORT, 'a reservation is never deleted; release it'); END;

-- Every write to the outside but label purchases and scan forms, which have tables of their own: recorded before it is sent.
CREATE TABLE outbox (
  outbox_id       INTEGER PRIMARY KEY AUTOINCREMENT,
  kind            TEXT NOT NULL,                 -- mark_shipped, ship_package, set_quantity, answer_cancel
  subject         TEXT NOT NULL,                 -- order id, or listing id
  package_id      TEXT REFERENCES packages,
  idempotency_key TEXT NOT NULL UNIQUE,          -- names the intended effect
  payload         TEXT NOT NULL,                 -- JSON; no personal data, no secrets
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
CREATE INDEX outbox_unsettled ON outbox (kind, subject) WHERE state IN ('intent', 'sent', 'unknown');
CREATE INDEX outbox_by_subject ON outbox (subject) WHERE kind <> 'set_quantity';
CREATE INDEX outbox_by_run ON outbox (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX outbox_pushed ON outbox (outbox_id) WHERE kind = 'set_quantity' AND state = 'done';

-- What the channel told us of carriers, per delivery option of an order.
CREATE TABLE shipping_providers (
  channel            TEXT NOT NULL,
  delivery_option_id TEXT NOT NULL,
  provider_id        TEXT NOT NULL,
  name               TEXT NOT NULL,
  fetched_at         TEXT NOT NULL CHECK (fetched_at GLOB '????-??-??T??:??:??Z'),
  PRIMARY KEY (channel, delivery_option_id, provider_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
  case_id     INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id    TEXT REFERENCES orders,
  package_id  TEXT REFERENCES packages,
  cause       TEXT NOT NULL,
  detail      TEXT NOT NULL,                     -- no personal data
  next_step   TEXT NOT NULL,
  since       TEXT NOT NULL CHECK (since GLOB '????-??-??T??:??:??Z'),
  resolved_at TEXT CHECK (resolved_at GLOB '????-??-??T??:??:??Z'),
  run_id      INTEGER REFERENCES runs
) STRICT;
CREATE UNIQUE INDEX quarantine_one_case ON quarantine (coalesce(package_id, ''), coalesce(order_id, ''), cause) WHERE resolved_at IS NULL;
CREATE INDEX quarantine_by_package ON quarantine (package_id) WHERE resolved_at IS NULL;
CREATE INDEX quarantine_of_package ON quarantine (package_id) WHERE package_id IS NOT NULL;
CREATE INDEX quarantine_of_order ON quarantine (order_id) WHERE order_id IS NOT NULL;

-- How the channel answered, one row a request: what `status` and `doctor` say of the connection. Old rows are dropped.
CREATE TABLE api_calls (
  at         TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??Z'),
  channel    TEXT NOT NULL,
  endpoint   TEXT NOT NULL,                      -- the path's template: no ids
  outcome    TEXT NOT NULL CHECK (outcome IN ('ok', 'refused', 'throttled', 'failed')),  -- refused: answered, and no
  latency_ms INTEGER NOT NULL CHECK (latency_ms >= 0)
) STRICT;
CREATE INDEX api_calls_by_time ON api_calls (at);

-- Alarms to people. One of a kind is open at a time; each of its two messages goes out once.
CREATE TABLE alerts (
  alert_id        INTEGER PRIMARY KEY AUTOINCREMENT,
  kind            TEXT NOT NULL,                 -- sync_failing, sync_silent
  detail          TEXT NOT NULL,                 -- no personal data
  opened_at       TEXT NOT NULL CHECK (opened_at GLOB '????-??-??T??:??:??Z'),
  claimed_at      TEXT CHECK (claimed_at GLOB '????-??-??T??:??:??Z'),       -- a process is sending the alarm
  sent_at         TEXT CHECK (sent_at GLOB '????-??-??T??:??:??Z'),
  closed_at       TEXT CHECK (closed_at GLOB '????-??-??T??:??:??Z'),        -- all is well again
  clear_claimed_at TEXT CHECK (clear_claimed_at GLOB '????-??-??T??:??:??Z'),
  clear_sent_at   TEXT CHECK (clear_sent_at GLOB '????-??-??T??:??:??Z')     -- NULL with sent_at NULL: nobody was alarmed
) STRICT;
CREATE UNIQUE INDEX alerts_one_open ON alerts (kind) WHERE closed_at IS NULL;

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

CREATE VIEW v_order_events AS
SELECT order_id, kind, at, seen_at, detail FROM order_events;

CREATE VIEW v_cancellations AS
SELECT channel, cancel_id, order_id, kind, status, is_pending, role, reason, created_at, updated_at, answer_by, should_restock,
  refund_minor, currency FROM cancellations;

CREATE VIEW v_commissions AS
SELECT channel, order_id, channel_sku_id, creator, content_type, content_id, quantity, commission_rate_bp,
  estimated_commission_minor, actual_commission_minor, partner_commission_minor, shop_ads_commission_minor, currency,
  settlement_status, is_fully_returned FROM commissions;

CREATE VIEW v_stock AS
SELECT s.sku, s.warehouse, s.on_hand, s.reserved, coalesce(k.quantity, 0) AS safety_stock,
  max(0, s.on_hand - s.reserved - coalesce(k.quantity, 0)) AS available_to_sell, s.counted_at
FROM stock s LEFT JOIN safety_stock k USING (sku, warehouse);

CREATE VIEW v_listings AS
SELECT channel, listing_id, sku, wanted_quantity, pushed_quantity, pushed_at, product_id, channel_quantity, seen_at,
  title, status, price_minor, currency, weight_g, seller_sku, is_mapped, is_channel_bundle
FROM listings;

CREATE VIEW v_stock_moves AS
SELECT move_id, at, sku, warehouse, kind, quantity, reserved, because, reference FROM stock_moves;

CREATE VIEW v_live_sessions AS
SELECT session_id, name, skus, started_at, ended_at FROM live_sessions;

CREATE VIEW v_labels AS
SELECT label_id, package_id, state, carrier, service_level, tracking_number, cost_minor, currency, sha256, bought_at,
  source, channel_package_id, printed_at, batch_id, position, barcode, request_id, voided_at, refund_status, refund_read_at,
  (SELECT s.form_id FROM scan_form_labels s JOIN scan_forms f USING (form_id)
     WHERE s.label_id = labels.label_id AND f.state <> 'failed') AS scan_form_id, on_paper_at
FROM labels;

CREATE VIEW v_scan_forms AS
SELECT form_id, source, carrier, day, ship_from, state, source_form_id, sha256, intent_at, made_at, error_code,
  (SELECT json_group_array(package_id) FROM (SELECT l.package_id FROM scan_form_labels s JOIN labels l USING (label_id)
     WHERE s.form_id = scan_forms.form_id ORDER BY l.label_id)) AS package_ids
FROM scan_forms;

CREATE VIEW v_runs AS
SELECT run_id, command, started_at, ended_at, exit_code, items_done, items_failed, error FROM runs;

CREATE VIEW v_quarantine AS
SELECT package_id, order_id, cause, detail, next_step, since FROM quarantine WHERE resolved_at IS NULL;
