"""Redeeming an enrolment code: counted as an attempt before it is looked at. Speaks no HTTP, so that a page can make
its browser a patient's own as well."""

from app.access import attempts, store
from app.access.door import DoorParts, prove
from app.access.tokens import Tokens, digest
from app.audit.service import Origin
from app.devices import service
from app.devices.models import RedeemIn
from app.errors import InvalidToken
from app.storage import NO_CLINIC


async def redeemed(parts: DoorParts, body: RedeemIn, origin: Origin) -> Tokens:
    """The tokens of a new device of a patient. Raises InvalidToken for an unknown, used or old code, RateLimited."""
    database = parts.database
    await attempts.count(database, "", origin.address)
    clinic_id = await database.read(NO_CLINIC, lambda db: store.enrolment_clinic(db, digest(body.code)))
    if clinic_id is None:
        raise InvalidToken("the code is unknown, used or expired")
    granted = await prove(parts, clinic_id, lambda db: service.redeem(db, body.code, body.device_name, origin))
    await attempts.forgive(database, "", origin.address)
    return granted
