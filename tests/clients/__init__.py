"""Clients that are made from the OpenAPI document, driven against the service."""
