"""Manual mode: the kit for the hour when nothing works, and the way back."""
