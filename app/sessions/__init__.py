"""Infusion sessions: what was given, when, and how the patient tolerated it."""
