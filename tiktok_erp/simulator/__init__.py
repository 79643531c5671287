"""A simulated TikTok Shop on 127.0.0.1: a second reading of the channel's documents that imports nothing of ours."""
