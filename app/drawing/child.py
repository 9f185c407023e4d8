"""The process that draws: one JSON line in, one out. It is given no database and no secret, and may
load nothing from an address.

The only module that loads the renderer, which brings a JavaScript engine with it; `Renderer` starts it.
"""

import base64
import json
import sys

import vl_convert

_PIXELS_PER_INCH = 144  # twice a screen's, so that it also reads in print


def main() -> None:
    """Answers until its input ends: `{"description", "format"}` in; `{"drawn"}` in base64 or `{"refused"}` out."""
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
