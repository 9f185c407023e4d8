"""Requests to addresses that others have named: where they may go, and sending them."""
