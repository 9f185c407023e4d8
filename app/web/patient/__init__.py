"""A patient's page, and what leads from it."""
