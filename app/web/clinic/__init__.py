"""The clinic's settings, its plan and its wording."""
