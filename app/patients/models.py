"""Tables of patients and of the versions of what a verdict depends on, and the bodies of requests and responses."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import MISSING, AfterValidator
from pydantic import Field as BodyField
from pydantic_core import PydanticCustomError
from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.api.fields import Id, MomentOut, Name, RequestBody, ResponseBody, Whole, each_once, grows, with_examples
from app.instruments import DOMAINS
from app.storage import Moment, document, key, rights

Indication = Literal[
    "major_depressive_disorder",
    "bipolar_depression",
    "anxiety_disorder",
    "ptsd",
    "ocd",
    "suicidal_ideation",
    "substance_use_disorder",
    "chronic_pain",
]
FailedTreatment = Literal["psychotherapy", "antidepressant", "anxiolytic", "opioid", "ect", "tms", "other"]
CareStatus = Literal["active", "paused", "discharged", "deceased", "entered_in_error"]


def _primaries_fit(primaries: dict[str, str | None]) -> dict[str, str | None]:
    for domain, code in primaries.items():
        if domain not in DOMAINS:
            raise PydanticCustomError("rule", "must be keyed by: " + ", ".join(DOMAINS))
        if code is not None and code not in DOMAINS[domain]:
            raise PydanticCustomError("rule", f"{domain} is answered by one of: " + ", ".join(DOMAINS[domain]))
    return primaries


Indications = Annotated[list[Indication], AfterValidator(each_once)]
FailedTreatments = Annotated[list[FailedTreatment], AfterValidator(each_once)]
BirthYear = Annotated[Whole, BodyField(ge=1900, le=2199)]
Trials = Annotated[Whole, BodyField(ge=0, le=100)]
Primaries = Annotated[dict[str, Annotated[str, BodyField(max_length=50)]], AfterValidator(_primaries_fit)]
PrimariesPatch = Annotated[dict[str, Annotated[str, BodyField(max_length=50)] | None], AfterValidator(_primaries_fit)]

CareTeam = Annotated[list[Id], BodyField(max_length=50), AfterValidator(each_once)]

_EXAMPLE = {
    "external_id": "MRN-0042",
    "label": "A.B.",
    "birth_year": 1984,
    "indications": ["major_depressive_disorder", "chronic_pain"],
    "failed_treatments": ["psychotherapy", "antidepressant"],
    "failed_antidepressant_trials": 3,
    "primary_instruments": {"pain": "peg"},
    "care_status": "active",
}


class Patient(SQLModel, table=True):
    """The current state of a patient, without identifying data. `last_recorded_at` is when the patient's newest version
    of any kind was recorded; it only increases. `posted` is a keyed hash of the normalised content of version 1; a
    repeated create is compared with it."""

    __tablename__ = "patients"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
        Index(None, "clinic_id", "created_at", "id"),
        rights("*"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    indications: list[str] = Field(sa_type=document())
    failed_treatments: list[str] = Field(sa_type=document())
    failed_antidepressant_trials: int | None
    primary_instruments: dict[str, str] = Field(sa_type=document())
    care_status: str
    created_at: datetime = Field(sa_type=Moment)
    updated_at: datetime = Field(sa_type=Moment)
    version: int
    posted: str
    last_recorded_at: datetime | None = Field(sa_type=Moment)
    erased_at: datetime | None = Field(default=None, sa_type=Moment)


class Identifiers(SQLModel, table=True):
    """Who a patient is, encrypted under the patient's key. Equal external ids have equal keyed hashes."""

    __tablename__ = "identifiers"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        UniqueConstraint("clinic_id", "external_id_digest"),
        rights("external_id_digest, encrypted", deletes=True),
    )

    clinic_id: UUID = key()
    patient_id: UUID = key()
    external_id_digest: str
    encrypted: bytes = Field(sa_type=LargeBinary)


class PatientKey(SQLModel, table=True):
    """The key of a patient's identifiers, itself encrypted under the service's secret."""

    __tablename__ = "patient_keys"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        rights(deletes=True),
    )

    clinic_id: UUID = key()
    patient_id: UUID = key()
    wrapped: bytes = Field(sa_type=LargeBinary)


class PatientVersion(SQLModel, table=True):
    """The fields of a patient that verdicts depend on, valid from the instant they were recorded. The first version is
    also valid for all earlier instants."""

    __tablename__ = "patient_versions"
    __table_args__ = (ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),)

    clinic_id: UUID = key()
    patient_id: UUID = key()
    version: int = Field(primary_key=True)
    recorded_at: datetime = Field(sa_type=Moment)
    primary_instruments: dict[str, str] = Field(sa_type=document())
    indications: list[str] = Field(sa_type=document())


class PatientIn(RequestBody):
    """A new patient. Only `external_id` is required; it is unique in the clinic."""

    model_config = with_examples(_EXAMPLE)

    id: Id | None = None
    external_id: Name
    label: Name | None = None
    birth_year: BirthYear | None = None
    indications: Indications = BodyField(default_factory=list)
    failed_treatments: FailedTreatments = BodyField(default_factory=list)
    failed_antidepressant_trials: Trials | None = None
    primary_instruments: Primaries = BodyField(default_factory=dict)
    care_status: CareStatus = "active"
    care_team: CareTeam = BodyField(default_factory=list)


class PatientPatch(RequestBody):
    """A merge patch (RFC 7396): what is absent stays, null clears what may be null."""

    model_config = with_examples({"care_status": "paused"})

    external_id: Name | MISSING = MISSING
    label: Name | MISSING | None = MISSING
    birth_year: BirthYear | MISSING | None = MISSING
    indications: Indications | MISSING = MISSING
    failed_treatments: FailedTreatments | MISSING = MISSING
    failed_antidepressant_trials: Trials | MISSING | None = MISSING
    primary_instruments: PrimariesPatch | MISSING = MISSING
    care_status: CareStatus | MISSING = MISSING
    care_team: CareTeam | MISSING = MISSING


class PatientSearch(RequestBody):
    """By exact `external_id`, or by `q`, a part of the external id or label."""

    model_config = with_examples({"external_id": "MRN-0042"}, {"q": "A.B"})

    external_id: Name | None = None
    q: Name | None = None


class PatientOut(ResponseBody):
    """A patient. `care_team` are the people who care for them, by user id. Once their identity is erased (`erased_at`),
    a pseudonym stands in the place of the external id. `version` counts what clients set."""

    id: Id
    external_id: str
    label: str | None
    birth_year: int | None
    indications: list[str]
    failed_treatments: list[str]
    failed_antidepressant_trials: int | None
    primary_instruments: dict[str, str]
    care_status: str = grows("active", "paused", "discharged", "deceased", "entered_in_error")
    care_team: list[Id]
    erased_at: MomentOut | None
    created_at: MomentOut
    updated_at: MomentOut
    version: int


class PatientList(ResponseBody):
    """A page of patients, newest first."""

    items: list[PatientOut]
    next_cursor: str | None
