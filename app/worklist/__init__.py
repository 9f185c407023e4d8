"""The worklist: which patients wait for a person. Reads only."""
