"""A synthetic clinic: a law of response written down before the engine runs on it, and the clinic it makes."""
