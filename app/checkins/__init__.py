"""Check-ins: scores as they arrive, often late, twice or out of order; amended and voided without losing anything."""
