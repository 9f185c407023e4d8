"""Use cases of wording: load, read, remove."""

from typing import Any
from uuid import UUID

from app.audit.service import Act
from app.errors import NotFound
from app.facts import Fact
from app.instruments import INSTRUMENTS
from app.storage import Transaction
from app.wording import store
from app.wording.models import ClinicWording, QuestionnaireIn, WordedItem, WordingList, WordingListed, WordingOut
from app.wording.policies import worded


def put(db: Transaction, act: Act, instrument: str, language: str, body: QuestionnaireIn) -> Fact[WordingOut]:
    """Loads the wording of an instrument in a language, in the place of the one before. Raises NotFound for another
    instrument, and Invalid where an item or an answer is missing or another one."""
    known = INSTRUMENTS.get(instrument)
    if known is None:
        raise NotFound
    items = [item.model_dump() for item in worded(known, body.item)]
    found = store.one(db, act.clinic_id, instrument, language)
    if found is None:
        found = ClinicWording(
            clinic_id=act.clinic_id, instrument=instrument, language=language, content={}, updated_at=act.at,
            updated_by_id=act.actor_id,
        )  # fmt: skip
    found.content, found.updated_at, found.updated_by_id = {"items": items}, act.at, act.actor_id
    db.add(found)
    return Fact(_out(found))


def one(db: Transaction, clinic_id: UUID, instrument: str, language: str) -> Fact[WordingOut]:
    """Raises NotFound."""
    return Fact(_out(_found(db, clinic_id, instrument, language)))


def listed(db: Transaction, clinic_id: UUID) -> Fact[WordingList]:
    """Which wording is there."""
    items = [
        WordingListed(instrument=found.instrument, language=found.language, updated_at=found.updated_at)
        for found in store.every(db, clinic_id)
    ]
    return Fact(WordingList(items=items, next_cursor=None))


def remove(db: Transaction, act: Act, instrument: str, language: str) -> Fact[None]:
    """Raises NotFound."""
    store.remove(db, _found(db, act.clinic_id, instrument, language))
    return Fact(None)


def in_language(db: Transaction, clinic_id: UUID, language: str) -> dict[str, dict[str, Any]]:
    """The wording that a clinic has in a language, by instrument; that of a region (`es-MX`) where there is none of the
    language itself."""
    found = [one for one in store.every(db, clinic_id) if one.language.split("-")[0] == language]
    return {one.instrument: one.content for one in sorted(found, key=lambda one: -len(one.language))}


def _found(db: Transaction, clinic_id: UUID, instrument: str, language: str) -> ClinicWording:
    found = store.one(db, clinic_id, instrument, language)
    if found is None:
        raise NotFound
    return found


def _out(found: ClinicWording) -> WordingOut:
    items = [WordedItem.model_validate(item) for item in found.content["items"]]
    return WordingOut(instrument=found.instrument, language=found.language, items=items, updated_at=found.updated_at)
