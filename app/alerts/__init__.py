"""Alerts: what a person must look at. An alert is raised in the transaction that recorded its cause."""
