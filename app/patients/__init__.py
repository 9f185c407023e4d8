"""Patients: who is treated, for what, and which instrument is primary in a domain."""
