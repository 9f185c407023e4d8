"""Holdfast records symptom scores around ketamine infusions and answers whether the relief is still holding."""
