"""Signing in: access tokens and refresh tokens for callers who prove who they are."""
