"""The names of groups in words."""

import re

from app.speech import Speech
from app.speech import message as _

_BAND = re.compile(r"(\S+)_to_under_(\S+)|(\S+)_or_more")
# What groups are named by, beside numbers and quarters.
CODES = (
    *(_("major depressive disorder"), _("bipolar depression"), _("anxiety disorder"), _("ptsd"), _("ocd")),
    *(_("suicidal ideation"), _("substance use disorder"), _("chronic pain"), _("none recorded"), _("unknown")),
    *(_("treatment resistant"), _("not treatment resistant"), _("iv"), _("im"), _("sc"), _("in"), _("sl"), _("po")),
)


def group_in_words(group: str, speech: Speech) -> str:
    """The name of a group."""
    if group == "all":
        return speech.translated(_("all patients"))
    band = _BAND.fullmatch(group)
    if band is None:
        return speech.code(group)
    if band[3] is not None:
        return speech.translated(_("%(low)s or more")) % {"low": band[3]}
    return speech.translated(_("%(low)s to under %(high)s")) % {"low": band[1], "high": band[2]}
