"""Forms that record: patients, sessions, check-ins from paper, events."""
