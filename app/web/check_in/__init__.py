"""The patient's check-in on their phone."""
