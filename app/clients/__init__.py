"""Integrations: adding them, changing them, rotating their secrets."""
