"""Answers about one patient: is relief holding? Reads only."""
