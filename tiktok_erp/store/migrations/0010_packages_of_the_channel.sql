-- What of ours is the same package on the channel is looked up for every label that is bought.

CREATE INDEX package_orders_by_channel_package ON package_orders (channel_package_id) WHERE channel_package_id IS NOT NULL;
CREATE INDEX labels_by_channel_package ON labels (channel_package_id) WHERE channel_package_id IS NOT NULL;
