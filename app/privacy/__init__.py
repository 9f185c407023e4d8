"""One patient's whole record, and erasing who they are."""
