"""The files that pages load: styles, scripts, icons. Each has an address that changes with its content, so a browser
keeps it for good."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
    "png": "image/png",
}
# What is smaller than a packet gains nothing by compression.
_WORTH_IT = 1_000
_FINGERPRINT = 12


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent; `compressed` is the same by gzip, and None where that gains nothing."""

    content: bytes
    compressed: bytes | None
    media_type: str
    fingerprint: str


def asset_of(name: str, content: bytes) -> Asset:
    """A file made ready to be sent."""
    compressed = gzip.compress(content, 9, mtime=0) if len(content) > _WORTH_IT else None
    if compressed is not None and len(compressed) >= len(content):
        compressed = None
    return Asset(
        content, compressed, _TYPES[name.rsplit(".", 1)[-1]], hashlib.sha256(content).hexdigest()[:_FINGERPRINT]
    )


@cache
def assets() -> dict[str, Asset]:
    """The files of the pages, by name."""
    folder = files("app.web") / "static"
    return {file.name: asset_of(file.name, file.read_bytes()) for file in folder.iterdir() if file.is_file()}


def address_of(name: str) -> str:
    """Where a page finds a file."""
    return f"/static/{assets()[name].fingerprint}/{name}"
