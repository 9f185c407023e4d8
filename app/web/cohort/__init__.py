"""How long relief lasts in the clinic, as a page."""
