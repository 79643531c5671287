"""The nouns, as frozen dataclasses. No I/O and no clock."""
