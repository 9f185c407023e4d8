"""The patient's reminders: on their phone, and in their calendar."""
