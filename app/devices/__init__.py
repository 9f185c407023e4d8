"""Patients' own devices: enrolled by a code, listed, revoked."""
