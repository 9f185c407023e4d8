"""Check-ins: scores, often late, twice or out of order. Amended or voided, no version is lost."""
