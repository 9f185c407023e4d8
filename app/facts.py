"""What a use case answers: a value and what every face needs to know of it. No framework in here."""

from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar
from uuid import UUID

from app.errors import PreconditionFailed

T = TypeVar("T")

Outcome = Literal["done", "partly_refused", "refused", "denied", "not_found"]


@dataclass(frozen=True, slots=True)
class Fact(Generic[T]):
    """The answer of a use case. How it is shown (status, headers, body) is for the face that asked.

    `patient_ids`: every patient whose data the value shows or the work changed. `version`: the object's, where it has
    one. `is_new`: this request created the object. `is_replay`: an earlier request created it, and this one repeats it.
    `is_secret`: the value is shown once and never stored. `changes_callers`: what some caller may do has changed.
    `outcome` and `refused_patient_ids` are for a batch whose items stand or fall alone: what became of it, and which
    patients its refused items asked for.
    """

    value: T
    patient_ids: tuple[UUID, ...] = ()
    version: int | None = None
    is_new: bool = False
    is_replay: bool = False
    is_secret: bool = False
    changes_callers: bool = False
    outcome: Outcome = "done"
    refused_patient_ids: tuple[UUID, ...] = ()

    def about(self, patient_id: UUID) -> "Fact[T]":
        """The same answer, which is about this patient even where it shows nothing."""
        return replace(self, patient_ids=(patient_id,))


def require_version(expected: int | None, current: int) -> None:
    """Raises PreconditionFailed when the object is not of the version that the caller expects, if any."""
    if expected is not None and expected != current:
        raise PreconditionFailed
