"""What each session did, by every instrument with a rule. Reads only."""
