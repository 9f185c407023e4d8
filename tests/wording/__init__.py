"""The wording of questionnaires that clinics load."""
