"""What the clients room takes and gives. The table of integrations is in `access`."""

from typing import Annotated

from pydantic import MISSING, AfterValidator
from pydantic import Field as BodyField
from pydantic_core import PydanticCustomError

from app.access.policies import SCOPES
from app.api.fields import Flag, Id, MomentOut, Name, RequestBody, ResponseBody, Text, Whole, with_examples


def _known_scopes(value: str) -> str:
    words = value.split()
    if not words or any(word not in SCOPES for word in words):
        raise PydanticCustomError("rule", "must be scopes, separated by spaces, from: " + " ".join(SCOPES))
    return " ".join(dict.fromkeys(words))


_ONE = f"({'|'.join(SCOPES)})"
_PATTERN = BodyField(json_schema_extra={"pattern": f"^{_ONE}( {_ONE})*$"})
Scope = Annotated[Text, BodyField(max_length=1_000), _PATTERN, AfterValidator(_known_scopes)]


class ClientIn(RequestBody):
    """A new integration and its scopes, separated by spaces."""

    model_config = with_examples({"name": "EHR", "scope": "patients:read outcomes:read"})

    name: Name
    scope: Scope


class ClientPatch(RequestBody):
    """What is absent stays. Scopes that are taken away end within 30 seconds."""

    model_config = with_examples({"scope": "patients:read"})

    name: Name | MISSING = MISSING
    scope: Scope | MISSING = MISSING
    disabled: Flag | MISSING = MISSING


class ClientOut(ResponseBody):
    """An integration. While a secret rotates, the one before works until `previous_secret_expires_at`."""

    id: Id
    name: str
    scope: str
    disabled: bool
    previous_secret_expires_at: MomentOut | None
    created_at: MomentOut
    version: int


class ClientList(ResponseBody):
    """A page of integrations, newest first."""

    items: list[ClientOut]
    next_cursor: str | None


class ClientCreated(ClientOut):
    """A new integration with its secret, shown once."""

    client_secret: str


class SecretRotation(RequestBody):
    """For how many hours the secret before goes on working: 0 (none before works any more) to 720."""

    model_config = with_examples({"overlap_hours": 24})

    overlap_hours: Annotated[Whole, BodyField(ge=0, le=720)] = 24
