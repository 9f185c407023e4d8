"""Clinics, users, clients, devices, tokens and permissions: who is calling, and what may they do."""
