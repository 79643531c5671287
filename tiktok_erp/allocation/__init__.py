"""Stage 3, `allocate`: carrier, service level and the reason, for every package that is due."""
