"""Pictures of answers: what a patient's scores did, all domains over one time axis, and how long relief lasted."""
