"""A synthetic clinic, generated from a law of response that was written before the engine ran on it."""
