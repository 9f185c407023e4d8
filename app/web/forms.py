"""Forms as browsers send them: text by name, read in the words of the request bodies."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from app.api.faults import faults_of
from app.errors import Fault, Invalid

B = TypeVar("B", bound=BaseModel)

_WHOLE = re.compile(r"(?a)[+-]?\d{1,15}")
_DECIMAL = re.compile(r"(?a)[+-]?\d{0,15}[.,]\d{1,15}")
_THOUSANDS = re.compile(r"(?a)[+-]?\d{1,3},\d{3}")


class Form(dict[str, str]):
    """The fields of a form, of which one that was sent several times has its last value; `every` has all of them. What
    was left blank is not there, and reads as an empty text."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        filled = [(name, value.strip()) for name, value in pairs if value.strip()]
        super().__init__(filled)
        self._pairs = filled

    def __missing__(self, name: str) -> str:
        return ""

    def every(self, name: str) -> list[str]:
        return [value for given, value in self._pairs if given == name]

    def without(self, names: Collection[str]) -> "Form":
        return Form([(given, value) for given, value in self._pairs if given not in names])

    def number(self, name: str) -> float | int | None:
        """The number in a field, with a decimal point or comma; None where it is blank. Raises Invalid, also for
        `1,000`, which one reader means as a thousand and another as one."""
        value = self.value(name)
        if isinstance(value, str):
            raise Invalid(errors=[Fault("pointer", f"/{name}", "must be a number")])
        return value

    def value(self, name: str) -> float | int | str | None:
        """The number in a field; what is none, as the text that it is; None where it is blank."""
        text = self.get(name)
        if text is None:
            return None
        if _WHOLE.fullmatch(text):
            return int(text)
        return float(text.replace(",", ".")) if _DECIMAL.fullmatch(text) and not _THOUSANDS.fullmatch(text) else text

    def moment(self, name: str, zone: ZoneInfo) -> datetime | None:
        """The moment in a field of a local day and time (`2025-01-06T10:00`), in the clinic's zone; None where it is
        blank, or still what the form was shown with. Raises Invalid, also for an hour that a change of clocks makes
        twice or never: nobody can tell which is meant."""
        text = self.get(name)
        if text is None or text == self.get(f"was.{name}"):
            return None
        try:
            local = datetime.fromisoformat(text)
        except ValueError:
            local = None
        if local is None or local.tzinfo is not None or "T" not in text:
            raise Invalid(errors=[Fault("pointer", f"/{name}", "must be a day and a time")])
        here = local.replace(tzinfo=zone)
        if here.utcoffset() != here.replace(fold=1).utcoffset():
            rule = "is an hour that a change of clocks makes twice or never: give a time an hour away"
            raise Invalid(errors=[Fault("pointer", f"/{name}", rule)])
        return here


def filled(value: Any) -> Any:
    """A field that was left blank is none."""
    return None if value == "" else value


def version_of(form: Form) -> int:
    """The version that a change was made from. Raises Invalid."""
    version = form.number("version")
    if not isinstance(version, int):
        raise Invalid("the page is not whole: open it anew")
    return version


async def form_of(request: Request) -> Form:
    """The form that was sent, without its files."""
    async with request.form() as sent:
        return Form([(name, value) for name, value in sent.multi_items() if not isinstance(value, UploadFile)])


def body_of(model: type[B], content: Mapping[str, Any]) -> B:
    """What the API would have been sent. Raises Invalid, with the same faults."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise Invalid(errors=faults_of(error.errors())) from None
