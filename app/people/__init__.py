"""People with a login: their roles, passwords and second factors."""
