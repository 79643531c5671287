-- Scan forms that were asked for, with the labels on each; and when the source was last asked about a refund.

CREATE TABLE scan_forms (
  form_id        INTEGER PRIMARY KEY AUTOINCREMENT,
  source         TEXT NOT NULL,
  carrier        TEXT NOT NULL,
  day            TEXT NOT NULL CHECK (day GLOB '????-??-??'),
  ship_from      TEXT,
  state          TEXT NOT NULL CHECK (state IN ('intent', 'sent', 'unknown', 'made', 'failed')),
  source_form_id TEXT,
  url            TEXT,
  sha256         TEXT,
  error_code     TEXT,
  intent_at      TEXT NOT NULL CHECK (intent_at GLOB '????-??-??T??:??:??Z'),
  sent_at        TEXT CHECK (sent_at GLOB '????-??-??T??:??:??Z'),
  made_at        TEXT CHECK (made_at GLOB '????-??-??T??:??:??Z'),
  written_at     TEXT CHECK (written_at GLOB '????-??-??T??:??:??Z'),
  run_id         INTEGER REFERENCES runs,
  CHECK (state NOT IN ('sent', 'unknown', 'made') OR sent_at IS NOT NULL),
  CHECK (state <> 'made' OR made_at IS NOT NULL)
) STRICT;
CREATE INDEX scan_forms_open ON scan_forms (form_id) WHERE state IN ('intent', 'sent', 'unknown') OR (state = 'made' AND written_at IS NULL);

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

ALTER TABLE labels ADD COLUMN refund_read_at TEXT CHECK (refund_read_at GLOB '????-??-??T??:??:??Z');
CREATE INDEX labels_refund_open ON labels (label_id) WHERE state = 'voided' AND refund_status NOT IN ('refunded', 'rejected', 'not_applicable', 'elsewhere');

CREATE VIEW v_scan_forms AS
SELECT form_id, source, carrier, day, ship_from, state, source_form_id, sha256, intent_at, made_at, error_code,
  (SELECT json_group_array(package_id) FROM (SELECT l.package_id FROM scan_form_labels s JOIN labels l USING (label_id)
     WHERE s.form_id = scan_forms.form_id ORDER BY l.label_id)) AS package_ids
FROM scan_forms;

DROP VIEW v_labels;
CREATE VIEW v_labels AS
SELECT label_id, package_id, state, carrier, service_level, tracking_number, cost_minor, currency, sha256, bought_at,
  source, channel_package_id, printed_at, batch_id, position, barcode, request_id, voided_at, refund_status, refund_read_at,
  (SELECT s.form_id FROM scan_form_labels s JOIN scan_forms f USING (form_id)
     WHERE s.label_id = labels.label_id AND f.state <> 'failed') AS scan_form_id
FROM labels;
