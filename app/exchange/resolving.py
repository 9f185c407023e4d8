"""A mapping as it is used: read from YAML, joined with the ready one that it extends, and seen to be whole."""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Dict
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import ValidationError

from app.api.faults import faults_of
from app.errors import Fault, Invalid
from app.exchange.mapping import MappingIn

_LONGEST = 256 * 1024


@cache
def ready() -> Dict[str, dict[str, Any]]:
    """The mappings that come with the service, by name: of tools whose files have a form of their own."""
    folder = files("app.exchange") / "ready"
    found = {path.name.removesuffix(".yaml"): yaml.safe_load(path.read_text()) for path in folder.iterdir()}
    return dict(sorted(found.items()))


def from_yaml(text: str) -> dict[str, Any]:
    """The content of a mapping file. Raises Invalid."""
    try:
        found = yaml.safe_load(text) if len(text) <= _LONGEST else None
    except (yaml.YAMLError, RecursionError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise Invalid(errors=[Fault("pointer", "", "must be a mapping in YAML")])
    return found


def mapping_of(content: Dict[str, Any]) -> MappingIn:
    """A mapping, together with the ready one that it extends. Raises Invalid, which names the place and the rule."""
    whole = dict(content)
    base = whole.pop("extends", None)
    if base is not None:
        if base not in ready():
            rule = "must be the name of a ready mapping: " + ", ".join(ready())
            raise Invalid(errors=[Fault("pointer", "/extends", rule)])
        whole = _over(ready()[base], whole)
    try:
        found = MappingIn.model_validate(whole)
    except ValidationError as error:
        raise Invalid(errors=faults_of(error.errors())) from None
    lacking = list(_lacking(found))
    if lacking:
        raise Invalid(errors=lacking)
    return found


def _lacking(mapping: MappingIn) -> Iterator[Fault]:
    """What a mapping must still say before a sheet can be read by it."""
    if not mapping.patient.column:
        yield Fault("pointer", "/patient/column", "must say which column names the patient")
    if mapping.long is None and not mapping.scores and not mapping.sessions:
        yield Fault("pointer", "/scores", "must say which columns have scores, or sessions or long what else there is")
    if mapping.long is not None:
        for name in ("code", "value"):
            if not getattr(mapping.long, name):
                yield Fault("pointer", f"/long/{name}", "must name a column")
    needs_date = mapping.long is not None or any(scale.date is None for scale in mapping.scores)
    if needs_date and (mapping.date is None or not mapping.date.column):
        yield Fault("pointer", "/date/column", "must say which column has the day and time of the answers")


def _over(base: Dict[str, Any], more: Dict[str, Any]) -> dict[str, Any]:
    """What `more` says, and where it says nothing, what `base` does; objects are joined member by member."""
    found = dict(base)
    for name, value in more.items():
        inner = found.get(name)
        found[name] = _over(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return found


def in_zone_of(mapping: MappingIn, more_headers: Sequence[Dict[str, Any]]) -> MappingIn:
    """The same mapping, in the zone that the sheet's further header rows name for the date's column, as Qualtrics
    writes it; unchanged where they name none, or the mapping names one itself."""
    if mapping.zone is not None or mapping.date is None:
        return mapping
    for row in more_headers:
        found = re.search(r'"timeZone"\s*:\s*"([^"]+)"', str(row.get(mapping.date.column) or ""))
        if found is not None:
            zone = "UTC" if found[1] == "Z" else found[1]
            return mapping_of({**mapping.model_dump(exclude_none=True), "zone": zone})
    return mapping
