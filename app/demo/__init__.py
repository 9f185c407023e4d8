"""A synthetic clinic: a law of response that was written before the engine ran on it, and the clinic generated from
it."""
