"""Reading the audit log over HTTP. `audit` writes it."""
