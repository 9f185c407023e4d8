"""The HTTP plumbing: strict bodies, problem+json, paging, ETags, idempotency, health. Knows no business word."""
