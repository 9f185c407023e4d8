"""Field types of request and response bodies: strict, bounded, and safe to store in either database."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, TypeVar, dataclass_transform
from uuid import UUID

import msgspec
from pydantic import (
    MISSING,
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from app.instruments import INSTRUMENTS

C = TypeVar("C")
_V = TypeVar("_V")

_RFC_3339 = re.compile(
    r"(?a)^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt ]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,6})?"
    r"([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$"
)
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


class RequestBody(BaseModel):
    """A body that clients send: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


def with_examples(*examples: dict[str, Any]) -> ConfigDict:
    """The configuration of a body that shows examples in the OpenAPI document."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": list(examples)})


class ResponseBody(BaseModel):
    """A body that the service gives. Fields have no defaults, so a generated client sees them as always there."""


# What `response_body` made.
BODIES: list[type] = []


@dataclass_transform(kw_only_default=True)
def response_body(body: type[C]) -> type[C]:
    """Makes a class a response body that is documented like a ResponseBody, and made and written in a third of the
    time: for those that leave often, or in great numbers."""
    for name, about in [*vars(body).items()]:
        if isinstance(about, FieldInfo):
            body.__annotations__[name] = Annotated[body.__annotations__[name], about]
            delattr(body, name)
    made = dataclass(slots=True, kw_only=True)(body)
    BODIES.append(made)
    # Kept, because of a plain dataclass it would be made anew for each route that shows one.
    made.__pydantic_core_schema__ = TypeAdapter(made).core_schema  # type: ignore[attr-defined]
    return made


def _model_as_json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return msgspec.Raw(value.model_dump_json(exclude_unset=True).encode())
    raise TypeError(type(value).__name__)


# The JSON of any response body; fields of a ResponseBody that nobody set are left out.
as_bytes = msgspec.json.Encoder(enc_hook=_model_as_json).encode


def _moment(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if not isinstance(value, str) or not _RFC_3339.match(value):
        rule = "must be an RFC 3339 date and time with an offset, to the microsecond at most"
        raise PydanticCustomError("moment", rule)
    try:
        moment = datetime.fromisoformat(value.upper().replace("Z", "+00:00")).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("moment", "must be a date and time that exists") from None
    if moment < _EARLIEST:
        raise PydanticCustomError("moment", "must not be before 1900")
    return moment


def _day(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise PydanticCustomError("day", "must be a calendar day, YYYY-MM-DD")
    if not "1900" <= value[:4] <= "2199":
        raise PydanticCustomError("day", "must be from 1900 to 2199")
    return value


def _storable(value: str) -> str:
    if any((character < " " and character not in "\n\t\r") or "\ud800" <= character <= "\udfff" for character in value):
        raise PydanticCustomError("text", "must not contain control characters or lone surrogates")
    return value


def _named(value: str) -> str:
    if not value.strip() or any(character < " " for character in value):
        raise PydanticCustomError("text", "must be one line that is not blank")
    return value


# Beyond every instrument's range, and within what a float holds exactly.
_LARGEST = 1_000_000_000
_NUMBER_SCHEMA = {"type": "number", "exclusiveMinimum": -_LARGEST, "exclusiveMaximum": _LARGEST}


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST < value < _LARGEST:
        raise PydanticCustomError("number", "must be a number")
    return value


_MOMENT_SCHEMA = {"type": "string", "format": "date-time", "examples": ["2025-01-10T09:00:00-05:00"]}

MomentIn = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema(_MOMENT_SCHEMA)]
# Always in UTC: input is converted to UTC, and stored instants are read as UTC.
MomentOut = Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})]
DayIn = Annotated[date, BeforeValidator(_day)]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Score = Annotated[int | float, PlainValidator(_number), WithJsonSchema(_NUMBER_SCHEMA)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[Text, AfterValidator(_named), Field(min_length=1, max_length=200)]
Note = Annotated[Text, Field(max_length=4_000)]


def _each_once(values: list[Any]) -> list[Any]:
    if len(set(values)) != len(values):
        raise PydanticCustomError("rule", "must name each only once")
    return values


# A list that contains no value twice.
EachOnce = Annotated[list[_V], AfterValidator(_each_once), Field(json_schema_extra={"uniqueItems": True})]


def only_text(value: Any) -> Any:
    """Refuses everything but strings and UUIDs. A lax parser would convert other types."""
    if not isinstance(value, str | UUID):
        raise PydanticCustomError("text", "must be a string")
    return value


Id = Annotated[UUID, BeforeValidator(only_text)]
# An id in a response that is text already.
IdText = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]


def grows(*known: str) -> Any:
    """A response field whose set of values may grow: a plain string, with the known values documented."""
    return Field(json_schema_extra={"x-known-values": list(known)})


# The codes that requests may name: of every instrument, and of those with a rule.
ANY_INSTRUMENT = {"enum": list(INSTRUMENTS)}
WITH_RULE = {"enum": [code for code, instrument in INSTRUMENTS.items() if instrument.rule]}


class FaultOut(ResponseBody):
    """One place in a malformed request, and the rule it breaks. It names one of `pointer`, `parameter` and `header`."""

    detail: str
    """The rule, as in `must be from 0 to 3`. It never repeats the value that was sent."""
    pointer: str | MISSING = MISSING
    """A place in the body, as a JSON Pointer (RFC 6901), as in `/responses/0/answers/8`."""
    parameter: str | MISSING = MISSING
    """A parameter of the query or the path, by name."""
    header: str | MISSING = MISSING
    """A header, by name."""


class ProblemOut(ResponseBody):
    """A refusal. `errors` names each place in a malformed request and the rule it breaks."""

    type: str = Field(examples=["/problems/invalid"])
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FaultOut] = Field(default_factory=list)
    into: UUID | None = None
    """With 410 `merged`: the record that goes on."""


_LONGEST_ADDRESS = 254
# Source: the e-mail input of the HTML standard, with at least one dot in the domain.
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+"
)


def is_address(value: str) -> bool:
    """Whether a text is an e-mail address that mail can go to."""
    return len(value) <= _LONGEST_ADDRESS and _EMAIL.fullmatch(value) is not None


def _address(value: str) -> str:
    if not is_address(value.strip()):
        raise PydanticCustomError("rule", "must be an e-mail address")
    return value.strip().lower()


Email = Annotated[
    Text, Field(max_length=_LONGEST_ADDRESS, json_schema_extra={"format": "email"}), AfterValidator(_address)
]
