"""Stage 1, `sync`: what the channels hold comes into the store."""
