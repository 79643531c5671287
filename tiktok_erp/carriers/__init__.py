"""Where labels come from: one shape, swappable. Wire and file formats in, model out; no store."""
