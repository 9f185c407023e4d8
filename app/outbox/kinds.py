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
