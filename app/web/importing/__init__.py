"""Imports as pages: a file, how far it is, and what was refused."""
