"""The HTTP plumbing: strict bodies, problem+json, paging, ETags, idempotency, health. Contains no domain logic."""
