#!/usr/bin/env bash
# vl-convert-python 1.9.0 says that its default JavaScript bundle assigns `vega`, `vegaLite` and `vegaEmbed` to the window.
# The first two are null there, in a bundle that draws all the same.
#
# A page that draws a Vega-Lite description with it must use `vegaEmbed` alone; what others do with `vega.parse` or
# `vegaLite.compile` fails. A bundle made with a snippet of one's own, `export default vegaEmbed;`, is a module that
# exports that one function. Seen on 2026-11-30, with Node 20.
#
# Needs Python, Node and a network that has PyPI. Exits with 1 if the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check vl-convert-python==1.9.0
v/bin/python - <<'P'
from pathlib import Path

import vl_convert

assert "available globally" in vl_convert.javascript_bundle.__doc__
Path("whole.mjs").write_text(vl_convert.javascript_bundle())
Path("own.mjs").write_text(vl_convert.javascript_bundle(snippet="export default vegaEmbed;"))
P
cat > look.mjs <<'J'
globalThis.window = globalThis;
await import('./whole.mjs');
const own = await import('./own.mjs');
const kind = (found) => (found === null ? 'null' : typeof found);
const seen = ['vega', 'vegaLite', 'vegaEmbed'].map((name) => `${name} ${kind(globalThis[name])}`).join(', ');
console.log(seen, '; own default', typeof own.default);
if (seen !== 'vega null, vegaLite null, vegaEmbed function' || typeof own.default !== 'function') process.exit(1);
J
node look.mjs || { echo "the behaviour has changed"; exit 1; }
