"""The whole story by the generated Python client, typed strictly: python story.py ADDRESS EMAIL PASSWORD.

It runs in the environment of clients/tools, without the service's code. Prints what it saw as JSON.
"""

import json
import sys
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from holdfast_client import AuthenticatedClient, Client
from holdfast_client.api.access import get_me, issue_token
from holdfast_client.api.alerts import acknowledge_alert, list_alerts
from holdfast_client.api.check_ins import (
    amend_check_in,
    get_check_in,
    list_check_ins,
    record_check_in,
    record_check_ins,
)
from holdfast_client.api.cohorts import get_durability
from holdfast_client.api.exchange import export_scores_csv
from holdfast_client.api.instruments import list_instruments
from holdfast_client.api.outcomes import get_outlook, get_relief, get_trend, get_worklist
from holdfast_client.api.patients import create_patient, get_patient, list_patients, update_patient
from holdfast_client.api.pictures import get_trend_png, get_trend_svg
from holdfast_client.api.sessions import list_sessions, record_session
from holdfast_client.models import (
    AcknowledgementIn,
    AlertList,
    AlertOut,
    AmendmentIn,
    BatchIn,
    BatchItemIn,
    BatchOut,
    CheckInIn,
    CheckInList,
    CheckInReceipt,
    CohortDurabilityOut,
    Disposition,
    GrantType,
    InstrumentCode,
    InstrumentList,
    MeOut,
    OutlookOut,
    PatientIn,
    PatientList,
    PatientOut,
    PatientPatch,
    ProblemOut,
    RefusalOut,
    ReliefOut,
    ResponseAmendment,
    ResponseIn,
    RuledInstrumentCode,
    SessionIn,
    SessionList,
    SessionOut,
    SideEffect,
    SideEffectKind,
    SideEffectSeverity,
    TokenOut,
    TokenRequest,
    TrendOut,
    WorklistOut,
)  # fmt: skip
from holdfast_client.types import UNSET, File, Unset

T = TypeVar("T")


def is_a(kind: type[T], found: object) -> T:
    """What was found, which must be of a kind."""
    assert isinstance(found, kind), found
    return found


def main(address: str, email: str, password: str) -> None:
    asked = TokenRequest(GrantType.PASSWORD, username=email, password=password)
    first = is_a(TokenOut, issue_token.sync(client=Client(address), body=asked))
    again = TokenRequest(GrantType.REFRESH_TOKEN, refresh_token=is_a(str, first.refresh_token))
    token = is_a(TokenOut, issue_token.sync(client=Client(address), body=again))
    with AuthenticatedClient(address, token.access_token) as client:
        assert is_a(MeOut, get_me.sync(client=client)).role == "admin"
        patient_id = story(client)
        files(client, patient_id)
        pages(client)
    refused = is_a(ProblemOut, get_me.sync(client=AuthenticatedClient(address, "nonsense")))
    assert (refused.status, refused.code) == (401, "invalid_token")


def story(client: AuthenticatedClient) -> UUID:
    now = datetime.now(UTC)
    given = create_patient.sync(client=client, body=PatientIn(external_id=str(uuid4()), label="A.B."))
    patient = is_a(PatientOut, given)
    begun = now - timedelta(days=60)
    assert record(client, patient, begun - timedelta(hours=2), [3, 3, 2, 2, 1, 2, 2, 1, 0], 7) == 201
    for n in range(6):
        session = SessionIn(
            started_at=begun + timedelta(days=3 * n), dose_mg_per_kg=0.5, weight_kg=70.0,
            side_effects=[SideEffect(SideEffectKind.DIZZINESS, SideEffectSeverity.MILD)],
        )  # fmt: skip
        made = is_a(SessionOut, record_session.sync(patient.id, client=client, body=session))
        assert made.kind == "induction"
        assert made.number == n + 1
    for days in (22, 30, 38, 46, 54):
        record(client, patient, begun + timedelta(days=days), [1, 1, 0, 1, 0, 0, 1, 0, 0], 3)
    body = check_in(now - timedelta(hours=1), [1, 1, 0, 1, 0, 0, 1, 0, 2], 3)
    alarming = is_a(CheckInReceipt, record_check_in.sync(patient.id, client=client, body=body))
    assert alarming.alerts[0].kind == "self_harm_item"
    assert alarming.notice is not None
    repeats_and_refusals(client, patient, body)
    relief = is_a(ReliefOut, get_relief.sync(patient.id, client=client))
    mood = next(track for track in relief.tracks if track.instrument == "phq-9")
    assert mood.status == "holding"
    assert mood.best is not None
    assert isinstance(mood.best.value, int | float)
    assert is_a(OutlookOut, get_outlook.sync(patient.id, client=client, instrument=RuledInstrumentCode.PHQ_9)).reason
    trend = is_a(TrendOut, get_trend.sync(patient.id, client=client, instrument=InstrumentCode.PHQ_9))
    assert trend.points[0].value == 16
    acknowledged = is_a(AlertList, list_alerts.sync(client=client, patient_id=patient.id, late=False)).items[0]
    done = AcknowledgementIn(Disposition.CONTACTED, note="Spoke by phone.")
    assert is_a(AlertOut, acknowledge_alert.sync(acknowledged.id, client=client, body=done)).state == "acknowledged"
    return patient.id


def check_in(at: datetime, answers: list[int | None], pain: float) -> CheckInIn:
    mood = ResponseIn(InstrumentCode.PHQ_9, answers=answers)
    return CheckInIn(id=uuid4(), taken_at=at, responses=[mood, ResponseIn(InstrumentCode.NRS_PAIN, score=pain)])


def record(
    client: AuthenticatedClient, patient: PatientOut, at: datetime, answers: list[int | None], pain: float
) -> int:
    """Records a check-in, and gives the status."""
    answer = record_check_in.sync_detailed(patient.id, client=client, body=check_in(at, answers, pain))
    is_a(CheckInReceipt, answer.parsed)
    return answer.status_code


def repeats_and_refusals(client: AuthenticatedClient, patient: PatientOut, body: CheckInIn) -> None:
    again = record_check_in.sync_detailed(patient.id, client=client, body=body)
    assert (again.status_code, again.headers["Replayed"]) == (200, "true")
    body.taken_at -= timedelta(seconds=1)
    other = record_check_in.sync(patient.id, client=client, body=body)
    assert (is_a(RefusalOut, other).status, is_a(RefusalOut, other).code) == (409, "check_in_conflict")
    wrong = check_in(body.taken_at, [9, 0, 0, 0, 0, 0, 0, 0, 0], 3)
    refused = is_a(RefusalOut, record_check_in.sync(patient.id, client=client, body=wrong))
    faults = refused.errors
    assert not isinstance(faults, Unset)
    assert (refused.status, faults[0].pointer) == (422, "/responses/0/answers/0")
    check_in_id = body.id
    assert isinstance(check_in_id, UUID)
    seen = get_check_in.sync_detailed(patient.id, check_in_id, client=client)
    amendment = AmendmentIn(reason="keying error", responses=[ResponseAmendment(InstrumentCode.NRS_PAIN, score=2)])
    changed = amend_check_in.sync_detailed(
        patient.id, check_in_id, client=client, body=amendment, if_match=str(seen.headers["ETag"])
    )
    assert is_a(CheckInReceipt, changed.parsed).version == 2
    stale = amend_check_in.sync(patient.id, check_in_id, client=client, body=amendment, if_match='"1"')
    assert is_a(ProblemOut, stale).code == "precondition_failed"
    held = get_patient.sync_detailed(patient.id, client=client)
    patch = PatientPatch(label="A.B. (ward 2)", birth_year=None)
    named = update_patient.sync(patient.id, client=client, body=patch, if_match=str(held.headers["ETag"]))
    assert is_a(PatientOut, named).label == "A.B. (ward 2)"
    item = BatchItemIn(
        patient_id=patient.id, taken_at=body.taken_at - timedelta(days=1),
        responses=[ResponseIn(InstrumentCode.NRS_PAIN, score=4)],
    )  # fmt: skip
    batch = is_a(BatchOut, record_check_ins.sync(client=client, body=BatchIn([item])))
    assert batch.results[0].http_status == 201


def files(client: AuthenticatedClient, patient_id: UUID) -> None:
    svg = is_a(File, get_trend_svg.sync(patient_id, client=client, instrument=InstrumentCode.PHQ_9))
    assert svg.payload.read().startswith(b"<svg")
    png = is_a(File, get_trend_png.sync(patient_id, client=client, instrument=InstrumentCode.PHQ_9))
    assert png.payload.read().startswith(b"\x89PNG")
    csv = is_a(File, export_scores_csv.sync(client=client))
    assert csv.payload.read().startswith(b"patient_id,")
    assert len(is_a(InstrumentList, list_instruments.sync(client=client)).items) > 10
    assert is_a(SessionList, list_sessions.sync(patient_id, client=client)).items[0].side_effects
    page = is_a(CheckInList, list_check_ins.sync(patient_id, client=client, from_=date(2020, 1, 1)))
    assert page.items


def pages(client: AuthenticatedClient) -> None:
    for n in range(5):
        create_patient.sync(client=client, body=PatientIn(external_id=f"page {n} {uuid4()}"))
    found: list[PatientOut] = []
    cursor: str | None = None
    while True:
        page = is_a(PatientList, list_patients.sync(client=client, limit=2, cursor=UNSET if cursor is None else cursor))
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len({one.id for one in found}) == len(found) >= 6
    rows = is_a(WorklistOut, get_worklist.sync(client=client)).items
    assert rows[0].status in ("holding", "no_baseline", "not_started")
    curve = is_a(CohortDurabilityOut, get_durability.sync(client=client, instrument=RuledInstrumentCode.PHQ_9))
    assert curve.endpoint == "loss_or_rescue"
    print(json.dumps({"patients": len(found)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
