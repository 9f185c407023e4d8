"""Makes the clients from docs/reference/openapi.json: `python clients/build.py python typescript wheel`.

`python` needs clients/tools/.venv, `typescript` clients/node_modules; `make tools` makes both.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs/reference/openapi.json"
PYTHON, TYPESCRIPT, TOOLS = HERE / "python", HERE / "typescript", HERE / "tools"
BIN, NODE_BIN = TOOLS / ".venv/bin", HERE / "node_modules/.bin"


def python() -> None:
    """The Python package `holdfast_client`."""
    made = PYTHON / "holdfast_client"
    shutil.rmtree(made, ignore_errors=True)
    config = TOOLS / "openapi-python-client.yaml"
    done = subprocess.run(
        [BIN / "openapi-python-client", "generate", "--path", DOCUMENT, "--config", config, "--meta", "none",
         "--output-path", made, "--fail-on-warning"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    (made / "py.typed").touch()


def typescript() -> None:
    """The types of the TypeScript package, and its JavaScript."""
    made = TYPESCRIPT / "src/api.ts"
    subprocess.run([NODE_BIN / "openapi-typescript", DOCUMENT, "-o", made], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([NODE_BIN / "tsc", "-p", TYPESCRIPT], check=True)


def wheel() -> None:
    """dist/holdfast_client-*.whl and, where Node is, dist/holdfast-client-*.tgz."""
    dist = HERE.parent / "dist"
    dist.mkdir(exist_ok=True)
    build = "from hatchling.builders.wheel import WheelBuilder; list(WheelBuilder('.').build(directory=%s))"
    subprocess.run([BIN / "python", "-c", build % json.dumps(str(dist))], cwd=PYTHON, check=True)
    if (TYPESCRIPT / "dist").exists():
        subprocess.run(["npm", "pack", "--silent", "--pack-destination", dist], cwd=TYPESCRIPT, check=True)


if __name__ == "__main__":
    for step in sys.argv[1:]:
        {"python": python, "typescript": typescript, "wheel": wheel}[step]()
