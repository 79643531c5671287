-- Packages whose number is told and that the carrier does not have yet: found without reading every old one.

CREATE INDEX packages_unscanned ON packages (package_id) WHERE scanned_at IS NULL AND delivered_at IS NULL AND cancelled_at IS NULL;
