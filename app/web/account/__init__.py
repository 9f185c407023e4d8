"""One's own account: the password, the second factor, and signing out everywhere."""
