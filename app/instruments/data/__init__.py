"""One file of data per instrument, with its worked examples."""
