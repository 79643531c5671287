"""Alarms to people: when orders are not being fetched, and when all is well again."""
