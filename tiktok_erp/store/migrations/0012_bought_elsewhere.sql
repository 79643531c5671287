-- Labels that this database did not buy are printed on request only, and quantities that somebody else set are not raised unasked.

ALTER TABLE labels ADD COLUMN on_request INTEGER NOT NULL DEFAULT 0 CHECK (on_request IN (0, 1));
CREATE INDEX labels_by_source ON labels (source) WHERE sent_at IS NOT NULL;
CREATE INDEX labels_by_quote ON labels (quote_id) WHERE quote_id IS NOT NULL;
CREATE INDEX labels_given_back ON labels (package_id) WHERE state = 'voided';
ALTER TABLE listings ADD COLUMN foreign_quantity INTEGER CHECK (foreign_quantity >= 0);

UPDATE labels SET on_request = 1, sent_at = coalesce(sent_at, bought_at) WHERE source = 'channel' AND package_id IN
  (SELECT po.package_id FROM package_orders po JOIN orders o USING (order_id) WHERE o.shipping_type = 'TIKTOK');
