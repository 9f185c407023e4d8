#!/usr/bin/env bash
# openapi-fetch 0.17.0 takes the lists of answers apart where openapi-typescript 7.13.0 was told to make them immutable.
#
# `--immutable` writes `readonly T[]`. The types with which openapi-fetch picks what an answer may hold go through the
# members of an object; a mutable array passes whole, a readonly one does not: it comes out as an object with the keys of
# an array, whose methods are `{}`. So `answer.data.items.map(...)` compiles without the option, and with it not at all.
# Seen on 2026-11-30 with TypeScript 5.9.3. Who makes a client with openapi-fetch must leave the option out.
#
# Needs node and npm. Exits with 1 if the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat > api.json <<'J'
{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/notes": {"get": {"operationId": "list", "responses":
{"200": {"description": "ok", "content": {"application/json": {"schema": {"type": "object", "required": ["items"],
"properties": {"items": {"type": "array", "items": {"type": "string"}}}}}}}}}}}}
J
cat > use.ts <<'T'
import createClient from "openapi-fetch";
import type { paths } from "./api.js";
const { data } = await createClient<paths>({ baseUrl: "http://localhost" }).GET("/notes");
export const lengths = data?.items.map((note) => note.length);
T
cat > tsconfig.json <<'J'
{"compilerOptions": {"target": "es2022", "lib": ["es2023", "dom"], "module": "nodenext", "strict": true, "skipLibCheck": true,
"noEmit": true, "types": []}, "include": ["use.ts"]}
J
printf '{"type": "module", "private": true}' > package.json
npm install --ignore-scripts --no-audit --no-fund --silent openapi-fetch@0.17.0 openapi-typescript@7.13.0 typescript@5.9.3

seen=""
for option in "" "--immutable"; do
    npx openapi-typescript api.json -o api.ts $option >/dev/null 2>&1
    said=$(npx tsc -p . | grep -o 'error TS[0-9]*' | head -n 1 || true)
    echo "openapi-typescript $option: ${said:-compiles}"
    seen="$seen[${said:-compiles}]"
done
[ "$seen" = "[compiles][error TS2349]" ] || { echo "the behaviour has changed: $seen"; exit 1; }
