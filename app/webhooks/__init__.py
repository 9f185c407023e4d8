"""Webhooks: what happened, sent to receivers that a clinic has named, by Standard Webhooks 1.0."""
