"""Loaded by Schemathesis: gives requests real ids and current versions, so that they get past 404 and 412, and keeps
them from ending their own caller. FUZZ_IDS: two JSON objects, the ids of parameters, and those that may come to an end.
FUZZ_SEEN: a file for the operation and the status of each answer.
"""

import json
import os
import re
from typing import Any
from zlib import crc32

import schemathesis

IDS, SPARE = json.loads(os.environ["FUZZ_IDS"])
ENDING = {"erase_patient", "merge_patient", "undo_merge", "move_check_in", "move_session"}
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    name, path = case.operation.definition.raw["operationId"], case.path_parameters or {}
    known = [key for key in path if key in IDS and UUID.fullmatch(str(path[key]))]
    is_any = crc32(repr((name, case.query, case.body)).encode()) % 8 == 0
    if known and ("user_id" in known or name in ENDING or not is_any):
        path.update({key: (SPARE if name in ENDING else IDS)[key] for key in known})
    if case.meta is None or case.meta.generation.mode.is_positive:
        (case.headers or {}).pop("Idempotency-Key", None)  # the document's one example: every later POST would be 422
        if "If-Match" in (case.headers or {}):
            case.headers["If-Match"] = "*"
    if name == "update_clinic" and isinstance(case.body, dict) and case.body.get("second_factor") == "required":
        case.body = {**case.body, "second_factor": "optional"}


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    with open(os.environ["FUZZ_SEEN"], "a", encoding="utf-8") as seen:
        seen.write(f"{case.operation.definition.raw['operationId']} {response.status_code}\n")
