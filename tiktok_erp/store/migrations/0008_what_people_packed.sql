-- What people say they packed by hand.

CREATE TABLE packings (
  package_id TEXT PRIMARY KEY REFERENCES packages,
  packed_at  TEXT NOT NULL CHECK (packed_at GLOB '????-??-??T??:??:??Z'),
  because    TEXT NOT NULL,
  run_id     INTEGER REFERENCES runs
) STRICT, WITHOUT ROWID;
