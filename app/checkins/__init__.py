"""Check-ins: scores, which often arrive late, twice or out of order. They can be amended and voided, and no version is
lost."""
