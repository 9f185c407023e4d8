"""A clinic's own settings."""
