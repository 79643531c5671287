"""Stage 5, `upload-tracking`: each tracking number reaches the channel once, on the right order."""
