"""Tables of patients and of the versions of what a verdict depends on, and the bodies of requests and responses."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import MISSING, AfterValidator
from pydantic import Field as BodyField
from pydantic_core import PydanticCustomError
from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from app.api.fields import (
    WITH_RULE,
    EachOnce,
    Id,
    MomentOut,
    Name,
    RequestBody,
    ResponseBody,
    Whole,
    grows,
    with_examples,
)
from app.instruments import DOMAINS
from app.patients.policies import invisible, trimmed
from app.storage import Moment, Uid, document, key, rights

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


def _seen(value: str) -> str:
    if name := invisible(value):
        raise PydanticCustomError("rule", f"must not contain {name}")
    return value


def _seen_in_label(value: str) -> str:
    if name := invisible(value, joiners=True):
        raise PydanticCustomError("rule", f"must not contain {name}")
    return value


# Trimmed first, so that a blank at the end is no fault; then what is left must be visible.
ExternalId = Annotated[Name, AfterValidator(trimmed), AfterValidator(_seen)]
Label = Annotated[Name, AfterValidator(trimmed), AfterValidator(_seen_in_label)]
Indications = EachOnce[Indication]
FailedTreatments = EachOnce[FailedTreatment]
BirthYear = Annotated[Whole, BodyField(ge=1900, le=2199)]
Trials = Annotated[Whole, BodyField(ge=0, le=100)]
_BY_DOMAIN = BodyField(json_schema_extra={"propertyNames": {"enum": list(DOMAINS)}})
_Code = Annotated[str, BodyField(max_length=50, json_schema_extra=WITH_RULE)]
Primaries = Annotated[dict[str, _Code], _BY_DOMAIN, AfterValidator(_primaries_fit)]
PrimariesPatch = Annotated[dict[str, _Code | None], _BY_DOMAIN, AfterValidator(_primaries_fit)]

CareTeam = Annotated[EachOnce[Id], BodyField(max_length=50)]

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
    repeated create is compared with it. `merged_into`: the patient in whose record this one goes on since
    `merged_at`. `due_told_on`: the day up to which it was told that check-ins are due."""

    __tablename__ = "patients"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
        Index(None, "clinic_id", "created_at", "id"),
        Index(
            "ix_patients_merged",
            "clinic_id",
            "merged_into",
            postgresql_where=text("merged_into IS NOT NULL"),
            sqlite_where=text("merged_into IS NOT NULL"),
        ),
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
    merged_into: UUID | None = Field(default=None, sa_type=Uid)
    merged_at: datetime | None = Field(default=None, sa_type=Moment)
    due_told_on: date | None = None


class Identifiers(SQLModel, table=True):
    """Who a patient is, encrypted under the patient's key. External ids that differ only in case or form have equal
    keyed hashes, once `form` is that of today; `clashes`: another patient held the same one before. `key_id`: the
    secret of the keyed hash."""

    __tablename__ = "identifiers"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        UniqueConstraint("clinic_id", "external_id_digest"),
        Index(None, "clinic_id", "form"),
        rights("external_id_digest, encrypted, form, clashes, key_id", deletes=True),
    )

    clinic_id: UUID = key()
    patient_id: UUID = key()
    external_id_digest: str
    encrypted: bytes = Field(sa_type=LargeBinary)
    form: int
    key_id: str
    clashes: bool = False


class PatientKey(SQLModel, table=True):
    """The key of a patient's identifiers, itself encrypted under the secret that `key_id` names."""

    __tablename__ = "patient_keys"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        Index(None, "clinic_id", "key_id"),
        rights("wrapped, key_id", deletes=True),
    )

    clinic_id: UUID = key()
    patient_id: UUID = key()
    wrapped: bytes = Field(sa_type=LargeBinary)
    key_id: str


class PatientVersion(SQLModel, table=True):
    """One version of a patient, valid from the instant it was recorded; the first one is also valid for all earlier
    instants. `changed`: the fields that are new in it. `content`: the other fields that tell nobody who the patient is.
    What tells it is not kept from version to version, so that it can be erased."""

    __tablename__ = "patient_versions"
    __table_args__ = (ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),)

    clinic_id: UUID = key()
    patient_id: UUID = key()
    version: int = Field(primary_key=True)
    recorded_at: datetime = Field(sa_type=Moment)
    primary_instruments: dict[str, str] = Field(sa_type=document())
    indications: list[str] = Field(sa_type=document())
    recorded_by_kind: str | None
    recorded_by_id: UUID | None = Field(sa_type=Uid)
    reason: str | None
    changed: list[str] = Field(sa_type=document())
    content: dict[str, Any] = Field(sa_type=document())


class PatientIn(RequestBody):
    """A new patient. Only `external_id` is required; it is unique in the clinic."""

    model_config = with_examples(_EXAMPLE)

    id: Id | None = None
    external_id: ExternalId
    label: Label | None = None
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

    external_id: ExternalId | MISSING = MISSING
    label: Label | MISSING | None = MISSING
    birth_year: BirthYear | MISSING | None = MISSING
    indications: Indications | MISSING = MISSING
    failed_treatments: FailedTreatments | MISSING = MISSING
    failed_antidepressant_trials: Trials | MISSING | None = MISSING
    primary_instruments: PrimariesPatch | MISSING = MISSING
    care_status: CareStatus | MISSING = MISSING
    care_team: CareTeam | MISSING = MISSING
    reason: Name | None = None
    """Why; required where `care_status` becomes `entered_in_error` or `deceased`."""


class PatientSearch(RequestBody):
    """By `external_id`, whatever its case, also that of a record merged into another one; or by `q`, a part of the
    external id or label."""

    model_config = with_examples({"external_id": "MRN-0042"}, {"q": "A.B"})

    external_id: ExternalId | None = None
    q: Name | None = None


class PatientOut(ResponseBody):
    """A patient. `care_team` are the people who care for them, by user id. `aliases` are the external ids of records
    that were merged into this one. Once their identity is erased (`erased_at`), a pseudonym stands in the place of the
    external id. `version` counts what clients set."""

    id: Id
    external_id: str
    aliases: list[str]
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


class RecorderOut(ResponseBody):
    """Who: `user`, `client`, `device` or `operator`."""

    kind: str
    id: Id


class PatientVersionOut(ResponseBody):
    """One version of a patient: who made it, when, why, and which fields are new in it. Fields that tell who the
    patient is are named in `changed`; their former values are not kept. `recorded_by` is null for versions of earlier
    releases, and the other fields are null where those did not record them."""

    version: int
    recorded_at: MomentOut
    recorded_by: RecorderOut | None
    reason: str | None
    changed: list[str]
    primary_instruments: dict[str, str]
    indications: list[str]
    failed_treatments: list[str] | None
    failed_antidepressant_trials: int | None
    care_status: str | None
    care_team: list[Id] | None


class PatientVersionList(ResponseBody):
    """Every version of a patient, oldest first."""

    items: list[PatientVersionOut]
    next_cursor: str | None
