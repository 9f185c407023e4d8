"""Answers over many patients: how long relief lasted, how many responded. Small groups are hidden from those who may
not see patients."""
