"""Check-in plans: what a patient must answer and when, relative to sessions, and whether it was answered."""
