"""The response body of the whole record, and the request body of erasing."""

from app.alerts.models import AlertOut
from app.api.fields import MomentOut, Name, RequestBody, ResponseBody, with_examples
from app.checkins.models import CheckInOut
from app.devices.models import DeviceOut
from app.events.models import EventOut
from app.patients.models import PatientOut
from app.plans.models import PlanOut
from app.sessions.models import SessionVersionOut


class BasisVersionOut(ResponseBody):
    """What a verdict depended on of a patient, from when it was recorded."""

    version: int
    recorded_at: MomentOut
    primary_instruments: dict[str, str]
    indications: list[str]


class PatientRecord(ResponseBody):
    """Everything that is stored of one patient, as it stands. `sessions`, `check_ins` and `events` are every version,
    voided ones too, oldest first. Who read or wrote it is at `GET /v1/audit-events?patient_id=`."""

    patient: PatientOut
    made_at: MomentOut
    basis: list[BasisVersionOut]
    sessions: list[SessionVersionOut]
    check_ins: list[CheckInOut]
    events: list[EventOut]
    alerts: list[AlertOut]
    devices: list[DeviceOut]
    plan: PlanOut
    plan_versions: list[PlanOut]


class ErasureIn(RequestBody):
    """Why, and the patient's external id once more, so that nobody erases the wrong one."""

    model_config = with_examples({"reason": "the patient's request", "external_id": "MRN-0042"})

    reason: Name
    external_id: Name
