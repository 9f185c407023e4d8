"""The answer to "is relief holding?" for one patient. Reads only."""
