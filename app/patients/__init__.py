"""Patients: who is treated, for what, and which instrument answers for a domain."""
