"""Exports of scores as files."""
