"""Bodies of a clinic's settings. The table is in `access`: every caller's rights depend on it."""

from typing import Annotated, Literal

from pydantic import MISSING
from pydantic import Field as BodyField

from app.access.models import CrisisContact
from app.api.fields import EachOnce, Email, Id, MomentOut, Name, RequestBody, ResponseBody, Whole, grows, with_examples


class CrisisContactIn(RequestBody):
    """Whom to call now: what it is, and the number or address."""

    label: Name
    contact: Name


class ClinicPatch(RequestBody):
    """What is absent stays. The time zone is fixed once a check-in is recorded."""

    model_config = with_examples({"alert_recipients": ["oncall@example.org", "lead@example.org"]})

    name: Name | MISSING = MISSING
    time_zone: Name | MISSING = MISSING
    crisis_contacts: Annotated[list[CrisisContactIn], BodyField(min_length=1, max_length=20)] | MISSING = MISSING
    alert_recipients: Annotated[EachOnce[Email], BodyField(max_length=20)] | MISSING = MISSING
    patient_view: Literal["scores", "scores_and_trend", "all"] | MISSING = MISSING
    second_factor: Literal["optional", "required"] | MISSING = MISSING
    smallest_group: Annotated[Whole, BodyField(ge=5, le=1_000)] | MISSING = MISSING


class ClinicOut(ResponseBody):
    """The clinic's settings. `alert_recipients` are told of urgent alerts, the first at once, the next after 4 and 24
    hours. `patient_view` is what patients see of their own outcomes. `second_factor`: whether people must have one.
    `smallest_group`: callers who may not see patients are told of no fewer. `alerts_reach_nobody`: no mail about urgent
    alerts can leave, and `alerts_reach_nobody_because` says why."""

    id: Id
    name: str
    time_zone: str
    synthetic: bool
    notice: str
    crisis_contacts: list[CrisisContact]
    alert_recipients: list[str]
    alerts_reach_nobody: bool
    alerts_reach_nobody_because: str | None = grows("no_recipients", "no_mail_server")
    patient_view: str = grows("scores", "scores_and_trend", "all")
    second_factor: str = grows("optional", "required")
    smallest_group: int
    created_at: MomentOut
    version: int
