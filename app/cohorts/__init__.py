"""Answers over many patients; small groups are hidden from callers who may not see patients."""
