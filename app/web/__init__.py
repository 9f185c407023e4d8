"""Pages: the clinician's console and the patient's check-in, of the same services as the API."""
