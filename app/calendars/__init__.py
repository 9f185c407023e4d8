"""A patient's calendar of what is due, which other programs read by a link."""
