"""What of a new OpenAPI document would break clients that were made from an earlier one.

The tools that do this for OpenAPI 3.1 are programs in Go that PyPI and npm do not have; those that npm has read 3.0
only (openapi-diff 0.24.1) or are not kept any more. Ours knows the rules below and no others:

- of requests, what was taken must be taken: no operation, parameter, property or value goes; nothing becomes required,
  narrower or of another type;
- of answers, what was given must be given: no success, property or requirement goes, and no type is another one;
- nothing needs another scope.
"""

from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]
_METHODS = ("get", "put", "post", "delete", "patch")
_TEXTS = ("description", "example", "examples", "summary", "title")
_UPPER, _LOWER = ("maximum", "maxLength", "maxItems"), ("minimum", "minLength", "minItems")


def bare(node: Any) -> Any:
    """A document without what no client breaks by: texts, examples and refusals."""
    if isinstance(node, dict):
        kept = {name: bare(value) for name, value in node.items() if name not in _TEXTS or isinstance(value, dict)}
        if "operationId" in kept:
            kept["responses"] = {s: answer for s, answer in kept["responses"].items() if s.startswith("2")}
        return kept
    return [bare(value) for value in node] if isinstance(node, list) else node


def breaks(before: Node, after: Node) -> list[str]:
    """What breaks, a line each; empty where nothing does."""
    return list(dict.fromkeys(_of_paths(before, after)))


def _of_paths(before: Node, after: Node) -> Iterator[str]:
    for path, operations in before["paths"].items():
        for method in _METHODS:
            if method in operations:
                found = after["paths"].get(path, {}).get(method)
                name = operations[method]["operationId"]
                if found is None:
                    yield f"{name} is gone"
                else:
                    yield from _of_operation(name, operations[method], found, before, after)


def _of_operation(name: str, old: Node, new: Node, before: Node, after: Node) -> Iterator[str]:
    if new["operationId"] != name:
        yield f"{name} is called {new['operationId']}"
    if (needs := _scopes(new) - _scopes(old)) or (new["security"] and not old["security"]):
        yield f"{name} needs {' '.join(sorted(needs)) or 'a token'}"
    taken, takes = ({(p["in"], p["name"].lower()): p for p in one.get("parameters", [])} for one in (old, new))
    for key, parameter in taken.items():
        if key not in takes:
            yield f"{name}: {parameter['name']} is no longer taken"
        else:
            yield from _narrower(f"{name}: {key[1]}", parameter["schema"], takes[key]["schema"], before, after)
    for key, parameter in takes.items():
        if parameter.get("required") and not taken.get(key, {}).get("required"):
            yield f"{name}: {parameter['name']} is required"
    for kind, content in old.get("requestBody", {}).get("content", {}).items():
        given = new.get("requestBody", {}).get("content", {}).get(kind)
        if given is None:
            yield f"{name}: {kind} is no longer taken"
        else:
            yield from _narrower(f"{name}: body", content["schema"], given["schema"], before, after)
    for status, answer in old["responses"].items():
        if status.startswith("2"):
            yield from _of_answer(f"{name}: {status}", answer, new["responses"].get(status), before, after)


def _of_answer(name: str, old: Node, new: Node | None, before: Node, after: Node) -> Iterator[str]:
    if new is None:
        yield f"{name} is no longer given"
        return
    for kind, content in old.get("content", {}).items():
        given = new.get("content", {}).get(kind)
        if given is None:
            yield f"{name}: {kind} is no longer given"
        elif "schema" in content:
            yield from _wider(name, content["schema"], given["schema"], before, after)
    for header in old.get("headers", {}).keys() - new.get("headers", {}).keys():
        yield f"{name}: {header} is no longer given"


def _scopes(operation: Node) -> set[str]:
    return {scope for way in operation["security"] for scopes in way.values() for scope in scopes}


def _resolved(schema: Node, document: Node) -> tuple[Node, str]:
    """A schema without a reference, and the name it is referred to by."""
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    return (document["components"]["schemas"][name], name) if name else (schema, "")


def _kinds(schema: Node) -> dict[str, Node]:
    """The types that a value may have, with the schema of each."""
    return {one.get("type") or one.get("$ref", "any"): one for one in schema.get("anyOf", [schema])}


def _narrower(at: str, old: Node, new: Node, before: Node, after: Node, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """What was taken and is no longer."""
    old, name = _resolved(old, before)
    new, _ = _resolved(new, after)
    if name in seen:
        return
    seen = (*seen, name) if name else seen
    for kind, one in _kinds(old).items():
        other = _kinds(new).get(kind)
        if other is None:
            yield f"{at} may no longer be {kind.rsplit('/', 1)[-1]}"
        elif other is not new or one is not old:
            yield from _narrower(at, one, other, before, after, seen)
    gone = set(old.get("enum", [])) - set(new.get("enum", []))
    if "enum" in new and (gone or "enum" not in old):
        yield f"{at} may no longer be {', '.join(sorted(gone)) or 'any text'}"
    if new.get("pattern") not in (None, old.get("pattern")):
        yield f"{at} must match another pattern"
    for bounds, sign in ((_UPPER, 1), (_LOWER, -1)):
        for bound in bounds:
            if bound in new and (bound not in old or sign * new[bound] < sign * old[bound]):
                yield f"{at}: {bound} is {new[bound]}"
    for required in set(new.get("required", [])) - set(old.get("required", [])):
        yield f"{at}/{required} is required"
    for member, schema in old.get("properties", {}).items():
        if member not in new.get("properties", {}):
            yield f"{at}/{member} is no longer taken"
        else:
            yield from _narrower(f"{at}/{member}", schema, new["properties"][member], before, after, seen)
    if isinstance(old.get("items"), dict) and isinstance(new.get("items"), dict):
        yield from _narrower(f"{at}/-", old["items"], new["items"], before, after, seen)


def _wider(at: str, old: Node, new: Node, before: Node, after: Node, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """What was never given and may be now, or was given and is no longer."""
    old, name = _resolved(old, before)
    new, _ = _resolved(new, after)
    if name in seen:
        return
    seen = (*seen, name) if name else seen
    for kind, other in _kinds(new).items():
        one = _kinds(old).get(kind)
        if one is None:
            yield f"{at} may be {kind.rsplit('/', 1)[-1]}"
        elif other is not new or one is not old:
            yield from _wider(at, one, other, before, after, seen)
    for member, schema in old.get("properties", {}).items():
        if member not in new.get("properties", {}):
            yield f"{at}/{member} is no longer given"
        else:
            yield from _wider(f"{at}/{member}", schema, new["properties"][member], before, after, seen)
    for member in set(old.get("required", [])) - set(new.get("required", [])):
        if member in new.get("properties", {}):
            yield f"{at}/{member} may be absent"
    if isinstance(old.get("items"), dict) and isinstance(new.get("items"), dict):
        yield from _wider(f"{at}/-", old["items"], new["items"], before, after, seen)
