"""Records that go on elsewhere: what was entered for the wrong person, and two records of one person."""
