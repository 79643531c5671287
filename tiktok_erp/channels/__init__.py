"""The channels: what they send becomes `model.facts`, what we tell them leaves in their own words. Edge."""
