"""The process that draws: it reads one JSON line and writes one. It gets no database and no secret, and may not load
anything from a URL.

Only this module imports the renderer, which brings a JavaScript engine with it. `Renderer` starts this process.
"""

import base64
import json
import sys
from typing import Any

import vl_convert

_PIXELS_PER_INCH = 144  # twice the resolution of a screen, for print


def main() -> None:
    """Answers `{"description", "format"}` with `{"drawn"}` in base64 or `{"refused"}`, until input ends. The format
    `script` is what a browser draws descriptions with."""
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        try:
            answer = {"drawn": base64.b64encode(_drawn(asked["format"], asked["description"])).decode()}
        except ValueError as error:
            answer = {"refused": type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _drawn(form: str, description: dict[str, Any]) -> bytes:
    if form == "script":
        return vl_convert.javascript_bundle("export default vegaEmbed;").encode()
    svg = vl_convert.vegalite_to_svg(description, allowed_base_urls=[])
    return svg.encode() if form == "svg" else vl_convert.svg_to_png(svg, ppi=_PIXELS_PER_INCH)


if __name__ == "__main__":
    main()
