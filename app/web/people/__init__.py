"""Who may sign in: people and integrations."""
