"""Load over real HTTP: `wrk`, pinned to one core, with its own bodies.

`wrk` keeps its connections open and sends the next request on each as soon as the response has arrived. An error
response or a broken connection fails the run.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

LOAD_CORE, SERVER_CORE = 1, 0

_SCRIPT = """
local n = {first}
local ids, fields = {{}}, {{}}
for line in io.lines("{callers}") do
  local id, token = line:match("(%S+) (%S+)")
  ids[#ids + 1] = id
  fields[#fields + 1] = {{ ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. token }}
end
{request}
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{{"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%.3f,"p99":%.3f,"max":%.3f}}\\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
"""

# Each post is for the next patient. Each time all patients had one, the time of the check-in moves on by six hours.
POST = """
local start = {start}
request = function()
  local turn, which = math.floor(n / #ids), n % #ids + 1
  local at = os.date("!%Y-%m-%dT%H:%M:%SZ", start + turn * 21600 + n % 3600)
  local a, b, c = n % 4, math.floor(n / 4) % 4, math.floor(n / 16) % 4
  local body = string.format(
    '{{"taken_at":"%s","responses":[{{"instrument":"phq-9","answers":[%d,%d,%d,%d,1,1,0,2,0]}},' ..
    '{{"instrument":"gad-7","answers":[%d,%d,%d,1,0,1,%d]}},{{"instrument":"nrs-pain","score":%d}}]}}',
    at, a, b, c, a, b, c, a, b, n % 11)
  n = n + 1
  return wrk.format("POST", "/v1/patients/" .. ids[which] .. "/check-ins", fields[which], body)
end
"""

GET = """
request = function()
  local which = n % #ids + 1
  n = n + 1
  return wrk.format("GET", (string.gsub("{path}", "PATIENT", ids[which])), fields[which])
end
"""


# Batches of 500. Every `per` items in a row are for one patient, each six hours after the one before.
BATCH = """
local start, per = {start}, {per}
request = function()
  local items = {{}}
  local first = n * 500
  for i = 0, 499 do
    local place = math.floor((first + i) / per)
    local turn, which = math.floor(place / #ids), place % #ids + 1
    local at = start + (turn * per + i % per) * 21600
    local a, b, c = i % 4, math.floor(i / 4) % 4, math.floor(i / 16) % 4
    items[#items + 1] = string.format(
      '{{"patient_id":"%s","taken_at":"%s","responses":[{{"instrument":"phq-9","answers":[%d,%d,%d,%d,1,1,0,2,0]}},' ..
      '{{"instrument":"gad-7","answers":[%d,%d,%d,1,0,1,%d]}},{{"instrument":"nrs-pain","score":%d}}]}}',
      ids[which], os.date("!%Y-%m-%dT%H:%M:%SZ", at), a, b, c, a, b, c, a, b, i % 11)
  end
  n = n + 1
  return wrk.format("POST", "/v1/check-ins/batch", fields[1], '{{"items":[' .. table.concat(items, ",") .. ']}}')
end
"""


@dataclass(frozen=True)
class Seen:
    """The result of a run: responses per second, and the median and 99th percentile of their times in milliseconds."""

    per_second: float
    p50: float
    p99: float
    requests: int


class Load:
    """Requests against one service, each over many connections. Numbers its posts, so that no two are alike."""

    def __init__(self, folder: Path, name: str, port: int, callers: Callable[[], Sequence[tuple[str, str]]]) -> None:
        """`callers` gives patients, each with a token that is good for the next minutes."""
        self._script = folder / f"{name}.lua"
        self._list = folder / f"{name}.callers"
        self._port, self._callers = port, callers
        self.sent = 0

    def run(self, request: str, connections: int, seconds: int, **values: object) -> Seen:
        """`request` is a Lua script such as POST, `values` fill its placeholders. RuntimeError if a request fails."""
        text = _SCRIPT.replace("{request}", request)
        self._list.write_text("".join(f"{patient_id} {token}\n" for patient_id, token in self._callers()))
        self._script.write_text(text.format(first=self.sent, callers=self._list, **values))
        if shutil.which("wrk") is None:
            raise RuntimeError("the load tool is missing: apt-get install wrk")
        address = f"http://127.0.0.1:{self._port}"
        command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=30s"]
        ran = subprocess.run([*command, "-s", str(self._script), address], capture_output=True, text=True, check=True)
        said = json.loads(ran.stdout.strip().splitlines()[-1])
        if said["refused"] or said["broken"]:
            raise RuntimeError(f"{said['refused']} answers refused, {said['broken']} broken")
        if request != GET:
            self.sent += said["requests"] + connections  # requests still running at the end were recorded too
        return Seen(said["requests"] * 1e6 / said["microseconds"], said["p50"], said["p99"], said["requests"])
