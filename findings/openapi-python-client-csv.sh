#!/usr/bin/env bash
# openapi-python-client 0.29.1 makes code that always fails for a download of text/csv with `format: binary`.
#
# For a binary answer it writes `File(payload=BytesIO(...))`. What it puts in depends on the media type: of
# application/octet-stream the bytes of the answer, of a type that begins with `text/` its text, for which BytesIO raises
# TypeError. It does so without a warning; `mypy --strict` over the generated package finds it. Images it leaves out, with
# a warning. `content_type_overrides` in its configuration mends both.
# Seen on 2026-11-30 with Python 3.11. The document is valid OpenAPI 3.1.
#
# Exits with 1 if the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat > api.json <<'J'
{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/scores.csv": {"get": {"operationId": "scores",
"responses": {"200": {"description": "ok", "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}}}}}}}
J
cat > use.py <<'P'
import httpx
from client import Client
from client.api.default import scores
def answer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b"a,b\n1,2\n", headers={"Content-Type": "text/csv"})
client = Client("http://localhost", httpx_args={"transport": httpx.MockTransport(answer)})
try:
    print("read", scores.sync(client=client).payload.read())
except TypeError as error:
    print("TypeError")
P
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check openapi-python-client==0.29.1
printf 'post_hooks: []\n' > plain.yaml
printf 'post_hooks: []\ncontent_type_overrides:\n  text/csv: application/octet-stream\n' > mended.yaml

seen=""
for config in plain mended; do
    rm -rf client
    venv/bin/openapi-python-client generate --path api.json --meta none --output-path client --config $config.yaml >/dev/null 2>&1
    said=$(venv/bin/python use.py | cut -c1-9)
    echo "$config: $said"
    seen="$seen[$said]"
done
[ "$seen" = "[TypeError][read b'a,]" ] || { echo "the behaviour has changed: $seen"; exit 1; }
