"""Other servers that keep records, measured beside ours."""
