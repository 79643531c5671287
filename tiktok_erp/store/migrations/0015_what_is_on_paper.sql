-- Which labels are on paper, as somebody knows it; which batches have their copies; boxes that packing stations have open.

ALTER TABLE labels ADD COLUMN on_paper_at TEXT CHECK (on_paper_at GLOB '????-??-??T??:??:??Z');
CREATE INDEX labels_not_on_paper ON labels (batch_id, position) WHERE state = 'bought' AND batch_id IS NOT NULL AND on_paper_at IS NULL;

ALTER TABLE batches ADD COLUMN copied_at TEXT CHECK (copied_at GLOB '????-??-??T??:??:??Z');
UPDATE batches SET copied_at = created_at;
CREATE INDEX batches_to_copy ON batches (batch_id) WHERE copied_at IS NULL;

CREATE TABLE open_boxes (
  package_id TEXT PRIMARY KEY REFERENCES packages,
  station    TEXT NOT NULL,
  holder     TEXT,
  pieces     TEXT NOT NULL DEFAULT '{}',
  opened_at  TEXT NOT NULL CHECK (opened_at GLOB '????-??-??T??:??:??Z')
) STRICT, WITHOUT ROWID;

-- The printer said so (or somebody who looked at the paper); it was packed; a person ticked it; the carrier has it.
UPDATE labels SET on_paper_at = coalesce(
  CASE WHEN batch_id IS NULL THEN printed_at END,
  (SELECT l.printed_at FROM labels l JOIN print_jobs j ON j.batch_id = l.batch_id AND l.position BETWEEN j.first AND j.last
     WHERE l.label_id = labels.label_id AND j.state = 'done' LIMIT 1),
  (SELECT k.packed_at FROM packings k WHERE k.package_id = labels.package_id),
  (SELECT coalesce(p.scanned_at, p.delivered_at) FROM packages p WHERE p.package_id = labels.package_id))
WHERE state = 'bought';

CREATE TRIGGER labels_of_moving_parcels_are_on_paper AFTER UPDATE OF scanned_at, delivered_at ON packages
WHEN NEW.scanned_at IS NOT NULL OR NEW.delivered_at IS NOT NULL
BEGIN
  UPDATE labels SET on_paper_at = coalesce(NEW.scanned_at, NEW.delivered_at)
    WHERE package_id = NEW.package_id AND state = 'bought' AND on_paper_at IS NULL;
END;

DROP VIEW v_labels;
CREATE VIEW v_labels AS
SELECT label_id, package_id, state, carrier, service_level, tracking_number, cost_minor, currency, sha256, bought_at,
  source, channel_package_id, printed_at, batch_id, position, barcode, request_id, voided_at, refund_status, refund_read_at,
  (SELECT s.form_id FROM scan_form_labels s JOIN scan_forms f USING (form_id)
     WHERE s.label_id = labels.label_id AND f.state <> 'failed') AS scan_form_id, on_paper_at
FROM labels;
