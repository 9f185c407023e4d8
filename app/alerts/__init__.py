"""Alerts: what a person must look at, raised in the transaction that recorded its cause."""
