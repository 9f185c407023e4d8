"""Query parameters that several rooms take."""

from typing import Annotated

from fastapi import Query

from app.api.fields import WITH_RULE

RuledInstrument = Annotated[
    str,
    Query(
        max_length=50,
        description="Code of an instrument with a rule",
        examples=["phq-9"],
        json_schema_extra=WITH_RULE,
    ),
]
