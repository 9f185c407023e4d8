"""The audit log, to be searched."""
