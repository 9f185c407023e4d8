"""The wording of questionnaires, which each clinic loads itself: none is shipped."""
