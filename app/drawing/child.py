"""The process that draws: it reads one JSON line and writes one. It gets no database and no secret, and may not load
anything from a URL.

Only this module imports the renderer, which brings a JavaScript engine with it. `Renderer` starts this process.
"""

import base64
import json
import sys

import vl_convert

_PIXELS_PER_INCH = 144  # twice the resolution of a screen, for print


def main() -> None:
    """Answers `{"description", "format"}` with `{"drawn"}` in base64 or `{"refused"}`, until input ends."""
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        try:
            svg = vl_convert.vegalite_to_svg(asked["description"], allowed_base_urls=[])
            drawn = svg.encode() if asked["format"] == "svg" else vl_convert.svg_to_png(svg, ppi=_PIXELS_PER_INCH)
            answer = {"drawn": base64.b64encode(drawn).decode()}
        except ValueError as error:
            answer = {"refused": type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
