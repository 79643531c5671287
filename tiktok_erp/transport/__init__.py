"""The shared HTTP edge: one keep-alive client, time-outs, retries, and a rate that adapts."""
