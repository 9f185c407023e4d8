"""What happened, written in the transaction in which it happened, for the feed of changes and for webhooks."""
