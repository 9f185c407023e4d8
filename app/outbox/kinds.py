"""What the outbox tells of, and which scope it takes to be told."""

from typing import Literal

Kind = Literal[
    "check_in.recorded",
    "check_in.amended",
    "session.recorded",
    "session.amended",
    "relief.changed",
    "alert.raised",
    "alert.withdrawn",
    "patient.changed",
    "patient.merged",
    "plan.due",
]
READ_SCOPES: dict[str, str] = {
    "check_in.recorded": "checkins:read",
    "check_in.amended": "checkins:read",
    "session.recorded": "sessions:read",
    "session.amended": "sessions:read",
    "relief.changed": "outcomes:read",
    "alert.raised": "alerts:read",
    "alert.withdrawn": "alerts:read",
    "patient.changed": "patients:read",
    "patient.merged": "patients:read",
    "plan.due": "plans:read",
}
KIND_MEANINGS: dict[str, str] = {
    "check_in.recorded": "a check-in was recorded",
    "check_in.amended": "a check-in was amended, completed, voided or moved",
    "session.recorded": "a session was recorded",
    "session.amended": "a session was changed or moved",
    "relief.changed": "a domain's status, or the instrument that answers for it, is another one now",
    "alert.raised": "an alert is open that was not, or is more pressing, timely or another patient's now",
    "alert.withdrawn": "an alert is no longer open though nobody has looked: what it rests on was wrong, or is over",
    "patient.changed": "a patient was made, changed or erased",
    "patient.merged": "a record goes on in another one, or no longer does",
    "plan.due": "a check-in that the plan asks for has become due, and is not answered",
}
