-- Decisions, quotes and labels know what they were made for, by version and fingerprint: no clock says which came first.

ALTER TABLE orders ADD COLUMN address_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE package_orders ADD COLUMN decided_address_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE package_orders ADD COLUMN label_address_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE packages ADD COLUMN decided_for TEXT;
ALTER TABLE quotes ADD COLUMN made_for TEXT NOT NULL DEFAULT '';
ALTER TABLE labels ADD COLUMN made_for TEXT;
ALTER TABLE labels ADD COLUMN address_check TEXT CHECK (address_check IN ('match', 'contradiction', 'unreadable'));

CREATE TRIGGER orders_number_their_addresses AFTER UPDATE OF address_changed_at ON orders WHEN NEW.address_changed_at IS NOT NULL
BEGIN UPDATE orders SET address_version = address_version + 1 WHERE order_id = NEW.order_id; END;

-- Of labels that are there already, only the times can say it.
UPDATE package_orders SET label_address_version = 0 WHERE EXISTS (
  SELECT 1 FROM labels l JOIN orders o ON o.order_id = package_orders.order_id WHERE l.package_id = package_orders.package_id
    AND l.state IN ('sent', 'unknown', 'bought') AND o.address_changed_at >= coalesce(l.bought_at, l.sent_at));
-- Nobody knows what older decisions and quotes were made for: they are made again before anything is bought.
UPDATE packages SET allocated_at = NULL WHERE allocated_at IS NOT NULL AND cancelled_at IS NULL AND NOT EXISTS (
  SELECT 1 FROM labels l WHERE l.package_id = packages.package_id AND l.state IN ('sent', 'unknown', 'bought'));
DELETE FROM quotes;
