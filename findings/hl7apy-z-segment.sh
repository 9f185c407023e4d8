#!/usr/bin/env bash
# hl7apy 1.3.5 drops a Z segment between two results, and puts the second result under nobody.
#
# HL7 version 2 allows segments of one's own, named Z.., anywhere. In an ORU^R01 with one between two OBX, `parse_message`
# leaves it out, without an error, and begins a second patient result without PID and OBR for what follows. Whoever reads
# the first patient result loses the rest of the questionnaire; whoever reads the second has answers of no patient, and
# without the time of the order. Seen on 2026-11-30.
#
# Needs Python and a network that has PyPI. Exits with 1 if the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check hl7apy==1.3.5
v/bin/python - <<'P'
from hl7apy.parser import parse_message

HEAD = [
    "MSH|^~\\&|LAB|NORTH|EHR|NORTH|20260301100500||ORU^R01^ORU_R01|77|P|2.5.1",
    "PID|1||T-1",
    "OBR|1|||44249-1^panel^LN|||20260301100000",
]
FIRST, SECOND = "OBX|1|NM|44250-9^one^LN||1||||||F", "OBX|2|NM|44255-8^two^LN||2||||||F"


def results(segments):
    message = parse_message("\r".join(segments) + "\r")
    found = []
    for result in message.oru_r01_patient_result:
        order = result.oru_r01_order_observation[0]
        codes = [one.obx.obx_3.obx_3_1.to_er7() for one in order.oru_r01_observation]
        has_patient = any(child.name == "ORU_R01_PATIENT" for child in result.children)
        found.append((codes, has_patient))
    return found, "ZAA" in message.to_er7()


plain, _ = results([*HEAD, FIRST, SECOND])
between, is_kept = results([*HEAD, FIRST, "ZAA|1|own", SECOND])
print("without a Z segment:", plain)
print("with one between:   ", between, "; the segment itself is", "kept" if is_kept else "gone")
expected = ([(["44250-9", "44255-8"], True)], [(["44250-9"], True), (["44255-8"], False)], False)
if (plain, between, is_kept) != expected:
    raise SystemExit("the behaviour has changed")
P
