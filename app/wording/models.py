"""The table of a clinic's wording, and the bodies: a FHIR Questionnaire comes in, what was read of it goes out."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic import Field as BodyField
from sqlalchemy import ForeignKeyConstraint
from sqlmodel import Field, SQLModel

from app.api.fields import MomentOut, ResponseBody, Text
from app.storage import Moment, Uid, document, key, rights

EXAMPLE: dict[str, Any] = {
    "resourceType": "Questionnaire",
    "status": "active",
    "item": [
        {
            "linkId": f"/{code}",
            "type": "choice",
            "text": f"The clinic's own wording of item {number}",
            "code": [{"system": "http://loinc.org", "code": code}],
            "answerOption": [
                {
                    "valueCoding": {
                        "display": f"The wording of answer {value}",
                        "extension": [
                            {"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": value}
                        ],
                    }
                }
                for value in range(4)
            ],
        }
        for number, code in ((1, "44250-9"), (2, "44255-8"))
    ],
}

Wording = Annotated[Text, BodyField(max_length=1_000)]
# A tag of a language (RFC 5646), as far as pages tell languages apart.
LANGUAGE_PATTERN = r"^[a-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}$"


class ClinicWording(SQLModel, table=True):
    """The wording of one instrument in one language, as a clinic loaded it. `content`: each item's text and those of
    its answers, by their numbers and values."""

    __tablename__ = "clinic_wording"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
        rights("content, updated_at, updated_by_id", deletes=True),
    )

    clinic_id: UUID = key()
    instrument: str = Field(primary_key=True)
    language: str = Field(primary_key=True)
    content: dict[str, Any] = Field(sa_type=document())
    updated_at: datetime = Field(sa_type=Moment)
    updated_by_id: UUID = Field(sa_type=Uid)


class _Fhir(BaseModel):
    """A part of a FHIR resource. What we do not read is left as it is: resources may hold extensions of anybody's."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)


class FhirExtension(_Fhir):
    """An extension; those that say an answer's value are read."""

    url: Annotated[str, BodyField(max_length=300)]
    decimal: Annotated[float | None, BodyField(alias="valueDecimal")] = None


class FhirCoding(_Fhir):
    """A code of a system, and how it is shown."""

    system: Annotated[str | None, BodyField(max_length=300)] = None
    code: Annotated[str | None, BodyField(max_length=100)] = None
    display: Wording | None = None
    extension: Annotated[list[FhirExtension], BodyField(max_length=20)] = []


class FhirAnswerOption(_Fhir):
    """One answer that may be chosen: a whole number, or a coding that says its value."""

    integer: Annotated[int | None, BodyField(alias="valueInteger")] = None
    coding: Annotated[FhirCoding | None, BodyField(alias="valueCoding")] = None
    extension: Annotated[list[FhirExtension], BodyField(max_length=20)] = []


class FhirItem(_Fhir):
    """A question, or a group of them."""

    link_id: Annotated[str, BodyField(alias="linkId", max_length=200)]
    text: Wording | None = None
    code: Annotated[list[FhirCoding], BodyField(max_length=20)] = []
    options: Annotated[list[FhirAnswerOption], BodyField(alias="answerOption", max_length=50)] = []
    item: Annotated[list["FhirItem"], BodyField(max_length=100)] = []


class QuestionnaireIn(_Fhir):
    """A FHIR Questionnaire (R4) of one instrument. Each item of ours must be in it once: by its LOINC code as `code` or
    as `linkId`, or by its number as `linkId`; with its text, and with each answer's value and text. What else is in it,
    as a total, is left out."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, json_schema_extra={"examples": [EXAMPLE]})

    kind: Annotated[Literal["Questionnaire"], BodyField(alias="resourceType")]
    item: Annotated[list[FhirItem], BodyField(min_length=1, max_length=100)]


class WordedChoice(ResponseBody):
    """An answer's value and its text."""

    value: int
    text: str


class WordedItem(ResponseBody):
    """An item's number, its text, and the texts of its answers; none where each value speaks for itself."""

    number: int
    text: str
    choices: list[WordedChoice]


class WordingOut(ResponseBody):
    """The wording of an instrument in a language, as the clinic loaded it."""

    instrument: str
    language: str
    items: list[WordedItem]
    updated_at: MomentOut


class WordingListed(ResponseBody):
    """A wording that is there."""

    instrument: str
    language: str
    updated_at: MomentOut


class WordingList(ResponseBody):
    """Every wording of the clinic, by instrument and language."""

    items: list[WordingListed]
    next_cursor: str | None
