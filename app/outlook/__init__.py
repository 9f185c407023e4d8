"""What became of a clinic's earlier spells that were in response about as long as a patient's. Reads only."""
