"""What moves and merges take and give. Bodies only: the room has no tables of its own."""

from app.api.fields import Id, Name, RequestBody, ResponseBody, with_examples

_EXAMPLE_ID = "0198e0c4-0000-7000-8000-000000000000"


class MoveIn(RequestBody):
    """Whose it is, and why it was entered elsewhere."""

    model_config = with_examples({"to_patient_id": _EXAMPLE_ID, "reason": "entered for the wrong person"})

    to_patient_id: Id
    reason: Name


class MergeIn(RequestBody):
    """The record that goes on, and why the two are of one person."""

    model_config = with_examples({"into": _EXAMPLE_ID, "reason": "registered twice"})

    into: Id
    reason: Name


class UndoIn(RequestBody):
    """Why the two are of two people after all."""

    model_config = with_examples({"reason": "they are twins"})

    reason: Name


class MovedOut(ResponseBody):
    """What ended in one record, and what began in its place in the other."""

    from_id: Id
    to_id: Id


class MergeOut(ResponseBody):
    """What a merge moved, and what stayed behind because the other record holds the same. `version` is the merged
    record's; undoing the merge needs it."""

    patient_id: Id
    into: Id
    version: int
    check_ins: list[MovedOut]
    sessions: list[MovedOut]
    left_check_ins: list[Id]
    left_sessions: list[Id]


class UndoOut(ResponseBody):
    """What was returned, as it now stands, and what came to the other record since the merge and stays there."""

    patient_id: Id
    out_of: Id
    version: int
    check_ins: list[MovedOut]
    sessions: list[MovedOut]
    stayed_check_ins: list[Id]
    stayed_sessions: list[Id]
