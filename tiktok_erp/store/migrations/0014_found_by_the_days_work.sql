-- What a command asks for is found by an index that holds the day's work, whatever the years before left.

DROP INDEX orders_open;
DROP INDEX reservations_written_off;
DROP INDEX stock_moves_by_sku;
DROP INDEX units_told_of_restocking;
CREATE INDEX runs_by_command ON runs (command);
CREATE INDEX orders_open ON orders (is_open, ship_by) WHERE is_open = 1;
CREATE INDEX orders_asking ON orders (cancel_requested) WHERE cancel_requested = 1;
CREATE INDEX packages_cancelled_late ON packages (cancelled_at)
  WHERE cancelled_at IS NOT NULL AND carrier IS NOT NULL AND merged_into IS NULL;
CREATE INDEX packages_by_number ON packages (CAST(substr(package_id, 2) AS INTEGER));
CREATE INDEX cancellations_by_fetching ON cancellations (fetched_at);
CREATE INDEX labels_as_scanned ON labels (upper(tracking_number));
CREATE INDEX labels_by_package ON labels (package_id);
CREATE INDEX labels_by_batch ON labels (batch_id, position) WHERE batch_id IS NOT NULL;
CREATE INDEX labels_by_run ON labels (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX labels_by_sending ON labels (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX labels_unsettled ON labels (state) WHERE state IN ('intent', 'sent', 'unknown');
CREATE INDEX scan_forms_unsettled ON scan_forms (state) WHERE state IN ('sent', 'unknown');
CREATE INDEX live_sessions_by_end ON live_sessions (coalesce(ended_at, '9'));
CREATE INDEX reservations_open ON reservations (state, sku) WHERE state IN ('held', 'short');
CREATE INDEX reservation_parts_uncounted ON reservation_parts (sku) WHERE is_counted = 0;
CREATE INDEX outbox_by_subject ON outbox (subject) WHERE kind <> 'set_quantity';
CREATE INDEX outbox_by_run ON outbox (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX outbox_pushed ON outbox (outbox_id) WHERE kind = 'set_quantity' AND state = 'done';
CREATE INDEX quarantine_of_package ON quarantine (package_id) WHERE package_id IS NOT NULL;
CREATE INDEX quarantine_of_order ON quarantine (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX stock_moves_by_sku ON stock_moves (sku);
CREATE INDEX stock_moves_returned ON stock_moves (reference) WHERE kind = 'returned';

-- Units whose cancellation says something of their stock that nobody has followed yet: reserve-stock empties it.
CREATE TABLE restocking (
  unit_id TEXT PRIMARY KEY REFERENCES units
) STRICT, WITHOUT ROWID;
CREATE TRIGGER units_tell_of_restocking AFTER UPDATE OF state, should_restock ON units
  WHEN NEW.should_restock IS NOT NULL AND (NEW.state <> OLD.state OR NEW.should_restock IS NOT OLD.should_restock)
BEGIN INSERT OR IGNORE INTO restocking VALUES (NEW.unit_id); END;
INSERT INTO restocking SELECT unit_id FROM units WHERE should_restock IS NOT NULL;
