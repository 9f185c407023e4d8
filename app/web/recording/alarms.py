"""What the refusal of a form calls for."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from app.access.service import Caller
from app.audit.service import Act
from app.checkins import refusing
from app.facts import Fact
from app.storage import Transaction


def called_for(
    caller: Caller, act: Act, content: dict[str, Any], patient_id: UUID, check_in_id: UUID | None = None
) -> Callable[[], Callable[[Transaction], Fact[Any]] | None]:
    """Looks for the alarming answers in what was read of a form, when it is refused, and raises their alerts."""

    def look() -> Callable[[Transaction], Fact[Any]] | None:
        found = refusing.alarms_in(content, patient_id, check_in_id)
        return (lambda db: refusing.raise_alarms(db, caller, act, found)) if found else None

    return look
