"""Append-only: who read or wrote whose data."""
