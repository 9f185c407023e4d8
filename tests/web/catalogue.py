"""Every sentence that pages say, gathered from the templates and the code, and from the instruments."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.extract import extract
from jinja2.ext import babel_extract

from app import rotating  # noqa: F401
from app.errors import families
from app.exchange import parquet  # noqa: F401 - this and the next two make every family of refusals there
from app.instruments import INSTRUMENTS
from app.main import create_app  # noqa: F401
from app.web.check_in.questions import ENDS

ROOT = Path(__file__).parent.parent.parent / "app"
# Modules that say something: they import `message`, or translate a text.
SAYING = sorted(
    path
    for path in ROOT.rglob("*.py")
    if re.search(r"import message\b|gettext\(|translated\(|counted\(", path.read_text(encoding="utf-8"))
)
_MARKS = {"_": None, "message": None, "gettext": None, "translated": None, "counted": (1, 2)}


def messages() -> dict[str, str | None]:
    """Each message, and its plural where it has one."""
    found: dict[str, str | None] = {}
    for message in _gathered():
        if isinstance(message, tuple):
            found[message[0]] = message[1]
        else:
            found.setdefault(message, None)
    return found


def of_instruments() -> Iterator[str]:
    """The short labels, bands and ends of scales."""
    for instrument in INSTRUMENTS.values():
        if not instrument.items:  # the others are called by their own names everywhere
            yield instrument.name
        yield from (item.label for item in instrument.items)
        yield from (band.label for band in instrument.bands)
    for ends in ENDS.values():
        yield from ends


def _gathered() -> Iterator[str | tuple[str, str]]:
    for template in sorted((ROOT / "web/templates").glob("*.html")):
        options = {"trimmed": "false", "newstyle_gettext": "true"}
        for _, _, message, _ in babel_extract(
            BytesIO(template.read_bytes()), ("_", "gettext", "ngettext"), (), options
        ):
            if message is not None:  # what is said by a name, as a refusal's title, is gathered below
                alone = message if isinstance(message, str) else message[0]  # with values the rest are none
                plural = None if isinstance(message, str) else message[1]
                yield str(alone) if plural is None else (str(alone), plural)
    for path in SAYING:
        for _, message, _, _ in extract("python", BytesIO(path.read_bytes()), keywords=_MARKS):
            yield message if isinstance(message, str) else (str(message[0]), str(message[1]))
    yield from of_instruments()
    yield from (family.title for family in families().values())
