"""QR codes, which phones read from a screen."""

from io import BytesIO

import segno
from markupsafe import Markup


def qr(text: str) -> Markup:
    """A QR code as SVG, without styles of its own."""
    picture = BytesIO()
    code = segno.make_qr(text, error="m")  # `make` gives a Micro QR code of a short text, which phones do not read
    code.save(picture, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=4, nl=False)
    return Markup(picture.getvalue().decode())  # noqa: S704 - our own drawing
