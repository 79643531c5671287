"""Stage 2, `reserve-stock`: every promised unit holds a counted piece, and channels show what is left."""
