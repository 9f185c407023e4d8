"""The append-only audit log: who read or wrote whose data."""
