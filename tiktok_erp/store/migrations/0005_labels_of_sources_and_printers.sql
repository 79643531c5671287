-- What labels of a source of our own need: the quote that was bought, and taking a label back. Printers and stations.

ALTER TABLE labels ADD COLUMN quote_id TEXT;
ALTER TABLE labels ADD COLUMN void_sent_at TEXT CHECK (void_sent_at GLOB '????-??-??T??:??:??Z');
ALTER TABLE labels ADD COLUMN voided_at TEXT CHECK (voided_at GLOB '????-??-??T??:??:??Z');
ALTER TABLE labels ADD COLUMN refund_status TEXT;
ALTER TABLE labels ADD COLUMN page INTEGER;
ALTER TABLE batches ADD COLUMN station TEXT;

CREATE TABLE claims (
  package_id TEXT PRIMARY KEY REFERENCES packages,
  station    TEXT NOT NULL,
  batch_id   INTEGER NOT NULL,
  until      TEXT NOT NULL CHECK (until GLOB '????-??-??T??:??:??Z')
) STRICT, WITHOUT ROWID;

CREATE TABLE packings (
  package_id TEXT PRIMARY KEY REFERENCES packages,
  station    TEXT NOT NULL,
  packed_at  TEXT NOT NULL CHECK (packed_at GLOB '????-??-??T??:??:??Z')
) STRICT, WITHOUT ROWID;
CREATE INDEX packings_by_station ON packings (station, packed_at);

CREATE TABLE print_jobs (
  job_id      INTEGER PRIMARY KEY AUTOINCREMENT,
  batch_id    INTEGER NOT NULL REFERENCES batches,
  printer     TEXT,
  first       INTEGER NOT NULL,
  last        INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('planned', 'sent', 'done', 'failed', 'unknown')),
  printer_job TEXT,
  detail      TEXT,
  sent_at     TEXT CHECK (sent_at GLOB '????-??-??T??:??:??Z'),
  ended_at    TEXT CHECK (ended_at GLOB '????-??-??T??:??:??Z'),
  run_id      INTEGER REFERENCES runs,
  CHECK (state = 'planned' OR sent_at IS NOT NULL)
) STRICT;
CREATE INDEX print_jobs_open ON print_jobs (batch_id) WHERE state <> 'done';

CREATE TABLE quotes (
  package_id    TEXT NOT NULL REFERENCES packages,
  source        TEXT NOT NULL,
  carrier       TEXT NOT NULL,
  service_level TEXT NOT NULL,
  cost_minor    INTEGER NOT NULL CHECK (cost_minor >= 0),
  currency      TEXT NOT NULL,
  transit_days  INTEGER,
  quote_id      TEXT NOT NULL,
  weight_g      INTEGER NOT NULL,
  quoted_at     TEXT NOT NULL CHECK (quoted_at GLOB '????-??-??T??:??:??Z'),
  PRIMARY KEY (package_id, source, carrier, service_level)
) STRICT, WITHOUT ROWID;

DROP VIEW v_labels;
CREATE VIEW v_labels AS
SELECT label_id, package_id, state, carrier, service_level, tracking_number, cost_minor, currency, sha256, bought_at,
  source, channel_package_id, printed_at, batch_id, position, barcode, request_id, voided_at, refund_status
FROM labels;
