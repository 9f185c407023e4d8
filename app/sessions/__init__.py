"""Infusion sessions: what was given, when, and how it went."""
