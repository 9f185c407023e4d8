"""The numbers of the verdict that belong to no instrument, and the version under which all of them stand.

Source: clinical reference 4.5. The five spans, the 28-day first course and `worse_than_best` are our own conventions.
"""

# The newest version, and those that can still be asked for.
VERSION = "2026.2"
EARLIER_VERSIONS = ("2026.1",)

BASELINE_LOOKBACK_DAYS = 28
COURSE_GAP_DAYS = 14
FIRST_COURSE_DAYS = 28
EPISODE_GAP_DAYS = 180
CONFIRMATION_DAYS = 5
STALE_AFTER_DAYS = 35

# The clinic's response window after the first course. Source: McInnes 2022 J Affect Disord 301:486.
EARLY_FROM_DAYS = 14
EARLY_TO_DAYS = 31
