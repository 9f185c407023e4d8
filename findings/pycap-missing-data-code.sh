#!/usr/bin/env bash
# PyCap 2.7.0 makes a blank of REDCap's missing data code NA, and a number of the record 0042; the code NI it keeps.
#
# REDCap stores a missing data code as the value of the field: NA (not applicable) and NI (no information) are two of its
# usual ones. `export_records(format_type="df")` hands the CSV to pandas with its defaults: NA becomes the same as a
# question that nobody answered, NI stays a text in a column of numbers, and record 0042 is 42. Seen on 2026-11-30.
#
# Needs Python and a network that has PyPI; a stand-in for REDCap answers on 127.0.0.1. Exits with 1 if the behaviour is
# another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check PyCap==2.7.0 pandas==3.1.1
v/bin/python - <<'P'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

from redcap import Project

ANSWERS = {
    "version": ("15.0.0", "text/html"),
    "project": ('{"is_longitudinal": 0, "has_repeating_instruments_or_events": 0}', "application/json"),
    "metadata": ('[{"field_name": "record_id", "form_name": "mood", "field_type": "text"}]', "application/json"),
    "record": ("record_id,first,second,mood_complete\n0042,NA,NI,2\n0043,1,2,2\n", "text/csv"),
}


class Redcap(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["content"][0]
        body, kind = ANSWERS.get(asked, ('{"error": "not longitudinal"}', "application/json"))
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Redcap)
threading.Thread(target=server.serve_forever, daemon=True).start()
frame = Project(f"http://127.0.0.1:{server.server_port}/api/", "0" * 32).export_records(format_type="df")
seen = (list(frame.index), frame["first"].isna().tolist(), frame["second"].tolist())
print("records", seen[0], "; NA is blank:", seen[1], "; second:", seen[2])
if seen != ([42, 43], [True, False], ["NI", "2"]):
    raise SystemExit("the behaviour has changed")
P
