-- Reservations join the ledger; bundles, safety stock by channel and by speed, live sessions, drift.
DROP VIEW v_stock;
DROP VIEW v_listings;
DROP TRIGGER reservations_hold_stock;
DROP TRIGGER reservations_take_stock;
DROP TRIGGER reservations_give_stock_back;
DROP TRIGGER reservations_keep_their_place;
DROP TRIGGER reservations_are_never_deleted;
DROP TRIGGER stock_moves_are_applied;
DROP TRIGGER stock_moves_are_never_changed;
DROP TRIGGER stock_moves_are_never_deleted;

ALTER TABLE listings ADD COLUMN is_mapped INTEGER NOT NULL DEFAULT 0 CHECK (is_mapped IN (0, 1));
ALTER TABLE listings ADD COLUMN is_channel_bundle INTEGER NOT NULL DEFAULT 0 CHECK (is_channel_bundle IN (0, 1));
ALTER TABLE listings ADD COLUMN base_quantity INTEGER;
ALTER TABLE listings ADD COLUMN base_at TEXT CHECK (base_at GLOB '????-??-??T??:??:??Z');
ALTER TABLE listings ADD COLUMN unseen_quantity INTEGER NOT NULL DEFAULT 0 CHECK (unseen_quantity >= 0);
ALTER TABLE listings ADD COLUMN unseen_since TEXT CHECK (unseen_since GLOB '????-??-??T??:??:??Z');
ALTER TABLE listings ADD COLUMN unseen_until TEXT CHECK (unseen_until GLOB '????-??-??T??:??:??Z');
ALTER TABLE safety_stock ADD COLUMN basis TEXT;
ALTER TABLE reservations ADD COLUMN ended_from TEXT CHECK (ended_from IN ('held', 'short', 'shipped'));
ALTER TABLE reservations ADD COLUMN is_written_off INTEGER NOT NULL DEFAULT 0 CHECK (is_written_off IN (0, 1));
-- A shipped piece that had been held left the shelf; whether it had been is told by its move.
UPDATE reservations SET ended_from = 'held' WHERE state = 'shipped'
  AND unit_id IN (SELECT reference FROM stock_moves WHERE kind = 'shipped');
UPDATE listings SET base_quantity = channel_quantity, base_at = max(pushed_at, coalesce(seen_at, pushed_at))
  WHERE pushed_at IS NOT NULL;

CREATE INDEX orders_by_placing ON orders (placed_at);
CREATE INDEX orders_by_cancelling ON orders (cancelled_at) WHERE cancelled_at IS NOT NULL;
CREATE INDEX reservations_written_off ON reservations (unit_id) WHERE is_written_off = 1;
CREATE INDEX units_told_of_restocking ON units (unit_id) WHERE should_restock IS NOT NULL;

CREATE TABLE unit_components (
  unit_id        TEXT NOT NULL REFERENCES units,
  sku            TEXT NOT NULL,
  channel_sku_id TEXT NOT NULL,
  quantity       INTEGER NOT NULL CHECK (quantity > 0),
  PRIMARY KEY (unit_id, sku)
) STRICT, WITHOUT ROWID;

CREATE TABLE channel_safety_stock (
  channel   TEXT NOT NULL,
  sku       TEXT NOT NULL,
  warehouse TEXT NOT NULL,
  quantity  INTEGER NOT NULL CHECK (quantity >= 0),
  basis     TEXT,
  PRIMARY KEY (channel, sku, warehouse)
) STRICT, WITHOUT ROWID;

CREATE TABLE sku_components (
  sku       TEXT NOT NULL,
  component TEXT NOT NULL,
  quantity  INTEGER NOT NULL CHECK (quantity > 0),
  mapped_at TEXT NOT NULL CHECK (mapped_at GLOB '????-??-??T??:??:??Z'),
  PRIMARY KEY (sku, component),
  CHECK (sku <> component)
) STRICT, WITHOUT ROWID;

CREATE TABLE live_sessions (
  session_id INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL,
  skus       TEXT NOT NULL DEFAULT '[]',
  started_at TEXT NOT NULL CHECK (started_at GLOB '????-??-??T??:??:??Z'),
  ended_at   TEXT CHECK (ended_at GLOB '????-??-??T??:??:??Z')
) STRICT;
CREATE UNIQUE INDEX live_sessions_running ON live_sessions (name) WHERE ended_at IS NULL;

CREATE TABLE stock_with_counts (
  sku        TEXT NOT NULL,
  warehouse  TEXT NOT NULL,
  on_hand    INTEGER NOT NULL CHECK (on_hand >= 0),
  reserved   INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  counted_at TEXT CHECK (counted_at GLOB '????-??-??T??:??:??Z'),
  PRIMARY KEY (sku, warehouse),
  CHECK (reserved <= on_hand)
) STRICT, WITHOUT ROWID;
INSERT INTO stock_with_counts SELECT s.sku, s.warehouse, s.on_hand, s.reserved,
  (SELECT max(m.at) FROM stock_moves m WHERE m.sku = s.sku AND m.warehouse = s.warehouse AND m.kind = 'counted') FROM stock s;
DROP TABLE stock;
ALTER TABLE stock_with_counts RENAME TO stock;

CREATE TABLE whole_ledger (
  move_id   INTEGER PRIMARY KEY AUTOINCREMENT,
  sku       TEXT NOT NULL,
  warehouse TEXT NOT NULL,
  kind      TEXT NOT NULL CHECK (kind IN ('received', 'counted', 'adjusted', 'reserved', 'released', 'shipped', 'returned', 'transferred')),
  quantity  INTEGER NOT NULL,
  because   TEXT NOT NULL,
  reference TEXT,
  at        TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??Z'),
  reserved  INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO whole_ledger (move_id, sku, warehouse, kind, quantity, because, reference, at)
  SELECT move_id, sku, warehouse, kind, quantity, because, reference, at FROM stock_moves ORDER BY move_id;
-- What was held before the ledger told of reservations opens its story.
INSERT INTO whole_ledger (sku, warehouse, kind, quantity, reserved, because, reference, at)
  SELECT sku, warehouse, 'reserved', 0, 1, 'promised', unit_id, held_at FROM reservations WHERE state = 'held' ORDER BY held_at, unit_id;
DROP TABLE stock_moves;
ALTER TABLE whole_ledger RENAME TO stock_moves;
CREATE INDEX stock_moves_by_sku ON stock_moves (sku, warehouse);

CREATE TRIGGER stock_moves_are_applied AFTER INSERT ON stock_moves
BEGIN
  SELECT RAISE(ABORT, 'a unit of an uncounted SKU cannot be held') WHERE NEW.kind = 'reserved'
    AND NOT EXISTS (SELECT 1 FROM stock WHERE sku = NEW.sku AND warehouse = NEW.warehouse);

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

CREATE TABLE reservation_parts (
  unit_id    TEXT NOT NULL REFERENCES units,
  sku        TEXT NOT NULL,
  quantity   INTEGER NOT NULL CHECK (quantity > 0),
  is_counted INTEGER NOT NULL CHECK (is_counted IN (0, 1)),
  PRIMARY KEY (unit_id, sku)
) STRICT, WITHOUT ROWID;
CREATE INDEX reservation_parts_by_sku ON reservation_parts (sku);
CREATE TRIGGER reservation_parts_come_first BEFORE INSERT ON reservation_parts
  WHEN (SELECT state FROM reservations WHERE unit_id = NEW.unit_id) IN ('held', 'shipped')
BEGIN SELECT RAISE(ABORT, 'release a reservation before its parts change'); END;
CREATE TRIGGER reservation_parts_are_never_changed BEFORE UPDATE ON reservation_parts
BEGIN SELECT RAISE(ABORT, 'a part of a reservation is never changed'); END;
CREATE TRIGGER reservation_parts_stay BEFORE DELETE ON reservation_parts
  WHEN (SELECT state FROM reservations WHERE unit_id = OLD.unit_id) IN ('held', 'shipped')
BEGIN SELECT RAISE(ABORT, 'release a reservation before its parts change'); END;

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

CREATE TRIGGER reservations_give_stock_back AFTER UPDATE OF state ON reservations WHEN OLD.state = 'held' AND NEW.state <> 'held'
BEGIN
  INSERT INTO stock_moves (sku, warehouse, kind, quantity, reserved, because, reference, at)
    SELECT sku, OLD.warehouse, CASE NEW.state WHEN 'shipped' THEN 'shipped' ELSE 'released' END,
      CASE NEW.state WHEN 'shipped' THEN -quantity ELSE 0 END, -quantity,
      CASE NEW.state WHEN 'short' THEN 'an earlier deadline or a lower count' WHEN 'shipped' THEN 'shipped' ELSE 'no longer promised' END,
      unit_id, CASE NEW.state WHEN 'shipped' THEN NEW.ended_at ELSE coalesce(NEW.ended_at, NEW.held_at) END FROM v_reserved_pieces WHERE unit_id = NEW.unit_id;
END;

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
