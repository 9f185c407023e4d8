"""Forms as browsers send them: text by name, read in the words of the request bodies."""

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
        """The number in a field; None where it is blank. Raises Invalid."""
        text = self.get(name)
        if text is None:
            return None
        try:
            return int(text)
        except ValueError:
            pass
        try:
            return float(text.replace(",", "."))
        except ValueError:
            raise Invalid(errors=[Fault("pointer", f"/{name}", "must be a number")]) from None

    def moment(self, name: str, zone: ZoneInfo) -> datetime | None:
        """The moment in a field of a local day and time (`2025-01-06T10:00`), in the clinic's zone; None where it is
        blank. Raises Invalid, also for an hour that a change of clocks makes twice or never: nobody can tell which is
        meant."""
        text = self.get(name)
        if text is None:
            return None
        try:
            local = datetime.fromisoformat(text).replace(tzinfo=zone)
        except ValueError:
            raise Invalid(errors=[Fault("pointer", f"/{name}", "must be a day and a time")]) from None
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            rule = "is an hour that a change of clocks makes twice or never: give a time an hour away"
            raise Invalid(errors=[Fault("pointer", f"/{name}", rule)])
        return local


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
