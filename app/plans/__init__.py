"""Check-in plans: what is to be answered when, relative to sessions, and what became of it."""
