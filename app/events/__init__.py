"""What else happened to a patient: drug changes, other treatments, admissions. Drawn and recorded, never in a
verdict."""
