"""The trend of one instrument: every score with what surrounds it, and its picture. Reads only."""
