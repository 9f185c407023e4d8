"""A browser that is a patient's phone no more: its session and its reminders end together."""

from app.access import store, tokens
from app.access.door import DoorParts, prove
from app.audit.service import Origin
from app.reminders import service
from app.storage import NO_CLINIC


async def given_up(parts: DoorParts, token: str, origin: Origin) -> None:
    """Ends the session of a phone's refresh token, with its reminders. An unknown token is no error (RFC 7009)."""
    clinic_id = await parts.database.read(NO_CLINIC, lambda db: store.refresh_token_clinic(db, tokens.digest(token)))
    if clinic_id is not None:
        await prove(parts, clinic_id, lambda db: service.sign_out(db, clinic_id, token, origin))
