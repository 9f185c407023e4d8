"""Reminders of check-ins on a patient's phone, by Web Push."""
