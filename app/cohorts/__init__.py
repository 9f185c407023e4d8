"""Answers over many patients: how long relief lasted, how many responded. Small groups are hidden from callers who may
not see patients."""
