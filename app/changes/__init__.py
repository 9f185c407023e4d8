"""Reading the outbox over HTTP, as one feed for each clinic. `outbox` writes it."""
