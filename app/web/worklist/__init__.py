"""The worklist and the list of alerts."""
