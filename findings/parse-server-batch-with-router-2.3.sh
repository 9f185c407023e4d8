#!/usr/bin/env bash
# parse-server 9.10.0 (npm) answers every POST /parse/batch with an error once npm gives it router 2.3.0.
#
# Its PromiseRouter requires `router/lib/layer`, a private file of a package that it does not declare. Express 5.2.1
# declares router ^2.2.0, so a fresh install takes 2.3.0, whose Layer does not keep `params` after `match()`: the batch's
# inner routes are then matched and have no parameters to read. Single requests go through Express and work.
# Seen on 2026-11-30 with Node 20: router 2.2.0 keeps them, 2.3.0 does not, and parse-server's own match() throws.
# Who compares a service with parse-server, as our bench/peers does, must depend on router 2.2.0 directly.
#
# Needs node and npm. Exits with 1 if the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat > try.js <<'JS'
const { default: PromiseRouter } = require('parse-server/lib/PromiseRouter');
const router = new PromiseRouter();
router.route('POST', '/classes/:className', () => ({ response: {} }));
try {
  const found = router.match('POST', '/classes/Score');
  console.log(found && found.params ? 'params ' + found.params.className : 'no params');
} catch (error) {
  console.log('throws ' + error.constructor.name);
}
JS

seen=""
for version in 2.2.0 2.3.0; do
    rm -rf node_modules package-lock.json
    printf '{"name":"try","private":true,"dependencies":{"parse-server":"9.10.0","express":"5.2.1","router":"%s"}}' "$version" > package.json
    npm install --ignore-scripts --no-audit --no-fund --silent
    said=$(node try.js 2>/dev/null | tail -n 1)
    echo "router $version: $said"
    seen="$seen[$said]"
done
[ "$seen" = "[params Score][throws TypeError]" ] || { echo "the behaviour has changed: $seen"; exit 1; }
