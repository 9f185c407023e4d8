"""The whole record of one patient, and erasing a patient's identity."""
