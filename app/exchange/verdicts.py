"""What becomes of the records of a file, and what those of all kinds have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from uuid import UUID

import msgspec

from app.exchange.items import CheckInItem, Item, SessionItem, Whose

R = TypeVar("R", CheckInItem, SessionItem)
OTHER = "names something with other content: nothing is overwritten, correct it in the service"
# Why what an undone import brought was taken back.
TAKEN_BACK = "the import that brought it was undone"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a record. `new`: it is to be recorded; `amends`: its versions after number `after` are;
    `returns`: an import brought it, which was undone, and it comes again; `unchanged`: nothing is; `skipped`: the
    mapping says so; `refused`: `problems` say why (line, column, rule)."""

    item: Item
    outcome: Literal["new", "amends", "returns", "unchanged", "skipped", "refused"]
    problems: tuple[tuple[int, str | None, str], ...] = ()
    after: int = 0


def settled(
    item: R,
    number: int,
    is_so: Callable[[Any], bool],
    *,
    is_undone: bool,
    was_so: Callable[[Any], bool],
    is_whole: bool,
) -> Verdict | None:
    """What becomes of a record whose id is known, of which version `number` stands; None where it is refused. `is_so`:
    whether a version of the file's says what stands; `was_so`: whether it says what stood before. `is_whole`: the file
    is an export of every version, from some instant on."""
    last = item.versions[-1]
    if is_so(last):
        return Verdict(item, "unchanged")
    if is_undone:
        return Verdict(item, "returns")
    if item.versions[0].number == number + 1 and is_whole:
        return Verdict(item, "amends", after=number)  # of a file that begins later
    at = next((version for version in item.versions if version.number == number), None)
    if at is not None and at is not last and is_so(at):
        return Verdict(item, "amends", after=number)
    return Verdict(item, "unchanged") if was_so(last) else None


def with_patient(item: Any, patient_id: UUID) -> Any:
    """The record, whose patient is known by id."""
    mine = item.whose
    return msgspec.structs.replace(item, whose=Whose(patient_id, mine.external_id, mine.is_text, mine.column))


def patient_of(item: Item) -> UUID:
    """The patient of a record that is known by id."""
    assert item.whose.patient_id is not None
    return item.whose.patient_id
