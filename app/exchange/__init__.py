"""Scores out of the service, as files."""
