-- What people say they packed by hand, beside what was checked by scanning.

ALTER TABLE packings ADD COLUMN because TEXT NOT NULL DEFAULT 'pack';
ALTER TABLE packings ADD COLUMN run_id INTEGER REFERENCES runs;
