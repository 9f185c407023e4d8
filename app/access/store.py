"""Queries on clinics, callers and tokens."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import case, delete, literal, or_, update
from sqlalchemy import select as rows_of
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.access.models import (
    CareTeamMember,
    Client,
    Clinic,
    Device,
    Enrolment,
    PasswordCode,
    RefreshToken,
    Throttle,
    User,
)
from app.clock import CLOCKS_DIFFER
from app.storage import Moment, Transaction, below, savepoint

CALLERS: dict[str, Any] = {"user": User, "client": Client, "device": Device}


def clinic(db: Transaction, clinic_id: UUID) -> Clinic | None:
    return db.get(Clinic, clinic_id)


def locked_clinic(db: Transaction, clinic_id: UUID) -> Clinic:
    """The clinic, for one writer at a time; rows that refer to it can be inserted meanwhile."""
    return db.exec(select(Clinic).where(col(Clinic.id) == clinic_id).with_for_update(key_share=True)).one()


def user(db: Transaction, clinic_id: UUID, user_id: UUID, *, locked: bool = False) -> User | None:
    query = select(User).where(col(User.clinic_id) == clinic_id, col(User.id) == user_id)
    return db.exec(query.with_for_update() if locked else query).first()


def add_user(db: Transaction, user: User) -> bool:
    """Adds a person; False, and nothing is added, where their e-mail is in use in the clinic."""
    try:
        with savepoint(db):
            db.add(user)
    except IntegrityError:
        return False
    return True


def users_by_ids(db: Transaction, clinic_id: UUID, user_ids: Collection[UUID]) -> dict[UUID, User]:
    query = select(User).where(col(User.clinic_id) == clinic_id, col(User.id).in_(user_ids))
    return {user.id: user for user in db.exec(query)}


def users(db: Transaction, clinic_id: UUID, after: Sequence[str] | None, limit: int) -> Sequence[User]:
    """Newest first; one row more than `limit` where there is more."""
    query = select(User).where(col(User.clinic_id) == clinic_id)
    return _newest(db, User, query, after, limit)


def users_by_email(db: Transaction, email: str) -> list[User]:
    """The people with this login, at most one in a clinic; who was added first stands first."""
    query = select(User).where(col(User.email) == email)
    return list(db.exec(query.order_by(col(User.created_at), col(User.id))))


def users_sealed_otherwise(db: Transaction, clinic_id: UUID, key_id: str) -> list[User]:
    """People whose second factor another secret of the service encrypts, locked."""
    query = select(User).where(col(User.clinic_id) == clinic_id, col(User.key_id) != key_id)
    return list(db.exec(query.order_by(col(User.id)).with_for_update()))


def clinic_devices(db: Transaction, clinic_id: UUID) -> Sequence[Device]:
    """The devices of all patients of a clinic."""
    query = select(Device).where(col(Device.clinic_id) == clinic_id)
    return db.exec(query.order_by(col(Device.patient_id), col(Device.created_at))).all()


def administrators(db: Transaction, clinic_id: UUID) -> list[UUID]:
    """The ids of active administrators, locked in order, so that two who remove each other take turns."""
    query = select(User.id).where(
        col(User.clinic_id) == clinic_id,
        col(User.role) == "admin",
        col(User.disabled_at).is_(None),
        col(User.password_hash).is_not(None),
    )
    return list(db.exec(query.order_by(col(User.id)).with_for_update()))


def client(db: Transaction, clinic_id: UUID, client_id: UUID, *, locked: bool = False) -> Client | None:
    query = select(Client).where(col(Client.clinic_id) == clinic_id, col(Client.id) == client_id)
    return db.exec(query.with_for_update() if locked else query).first()


def clients(db: Transaction, clinic_id: UUID, after: Sequence[str] | None, limit: int) -> Sequence[Client]:
    """Newest first; one row more than `limit` where there is more."""
    query = select(Client).where(col(Client.clinic_id) == clinic_id)
    return _newest(db, Client, query, after, limit)


def locked_device(db: Transaction, clinic_id: UUID, device_id: UUID) -> Device | None:
    return db.get(Device, (clinic_id, device_id), with_for_update=True)


def devices(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Sequence[Device]:
    query = select(Device).where(col(Device.clinic_id) == clinic_id, col(Device.patient_id) == patient_id)
    return db.exec(query.order_by(col(Device.created_at).desc(), col(Device.id).desc())).all()


def password_code(db: Transaction, code_hash: str) -> PasswordCode | None:
    return db.exec(select(PasswordCode).where(col(PasswordCode.code_hash) == code_hash).with_for_update()).first()


def password_code_clinic(db: Transaction, code_hash: str) -> UUID | None:
    return db.exec(select(PasswordCode.clinic_id).where(col(PasswordCode.code_hash) == code_hash)).first()


def expire_password_codes(db: Transaction, clinic_id: UUID, user_id: UUID, now: datetime) -> None:
    """Marks all unused password codes of a person as used."""
    mine = (col(PasswordCode.clinic_id) == clinic_id, col(PasswordCode.user_id) == user_id)
    db.execute(update(PasswordCode).where(*mine, col(PasswordCode.used_at).is_(None)).values(used_at=now))


def revoke_tokens(db: Transaction, clinic_id: UUID, kind: str, caller_id: UUID, now: datetime) -> None:
    """Revokes every refresh token of a caller."""
    db.execute(
        update(RefreshToken)
        .where(col(RefreshToken.clinic_id) == clinic_id, col(RefreshToken.caller_id) == caller_id)
        .where(col(RefreshToken.caller_kind) == kind, col(RefreshToken.revoked_at).is_(None))
        .values(revoked_at=now)
    )


def cared_for(clinic_id: UUID, user_id: UUID) -> SelectOfScalar[UUID]:
    """The query for the ids of the patients on whose care team a person is."""
    member = (col(CareTeamMember.clinic_id) == clinic_id, col(CareTeamMember.user_id) == user_id)
    return select(CareTeamMember.patient_id).where(*member)


def care_teams(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """The user ids of each patient's care team. Patients without a care team are left out."""
    found: dict[UUID, list[UUID]] = {}
    query = select(CareTeamMember).where(
        col(CareTeamMember.clinic_id) == clinic_id, col(CareTeamMember.patient_id).in_(patient_ids)
    )
    for member in db.exec(query.order_by(col(CareTeamMember.user_id))):
        found.setdefault(member.patient_id, []).append(member.user_id)
    return found


def set_care_team(db: Transaction, clinic_id: UUID, patient_id: UUID, user_ids: Collection[UUID]) -> None:
    """Replaces a patient's care team by these people."""
    mine = (col(CareTeamMember.clinic_id) == clinic_id, col(CareTeamMember.patient_id) == patient_id)
    db.execute(delete(CareTeamMember).where(*mine))
    db.add_all(CareTeamMember(clinic_id=clinic_id, patient_id=patient_id, user_id=user_id) for user_id in user_ids)
    db.flush()


def count_attempts(db: Transaction, keys: Collection[str], now: datetime, stale: datetime) -> dict[str, Throttle]:
    """Counts one attempt under each key; returns the counts. Windows that began by `stale` start again at 1, and so do
    those that begin later than now: a clock was ahead then."""
    dialect = sqlite if db.get_bind().dialect.name == "sqlite" else postgresql
    begun = or_(col(Throttle.started_at) <= stale, col(Throttle.started_at) > now + CLOCKS_DIFFER)
    found = {}
    for key in sorted(keys):  # in a fixed order, so that two transactions cannot deadlock
        statement = dialect.insert(Throttle).values(key=key, started_at=now, count=1)
        counted = statement.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "count": case((begun, 1), else_=col(Throttle.count) + 1),
                "started_at": case((begun, literal(now, Moment())), else_=col(Throttle.started_at)),
            },
        ).returning(Throttle)
        found[key] = db.execute(counted, execution_options={"populate_existing": True}).scalar_one()
    return found


def forgive_attempts(db: Transaction, keys: Collection[str]) -> None:
    db.execute(delete(Throttle).where(col(Throttle.key).in_(keys)))


def give_back_attempts(db: Transaction, keys: Collection[str]) -> None:
    for key in sorted(keys):
        mine = (col(Throttle.key) == key, col(Throttle.count) > 0)
        db.execute(update(Throttle).where(*mine).values(count=col(Throttle.count) - 1))


def purge_attempts(db: Transaction, stale: datetime) -> None:
    db.execute(delete(Throttle).where(col(Throttle.started_at) <= stale))


def client_by_id(db: Transaction, client_id: UUID) -> Client | None:
    return db.exec(select(Client).where(col(Client.id) == client_id)).first()


def caller(
    db: Transaction, clinic_id: UUID, kind: str, caller_id: UUID, *, locked: bool = False
) -> User | Client | Device | None:
    found: User | Client | Device | None = db.get(
        CALLERS[kind], (clinic_id, caller_id), with_for_update=locked or None, populate_existing=locked
    )
    return found


def refresh_token(db: Transaction, clinic_id: UUID, token_hash: str) -> RefreshToken | None:
    query = select(RefreshToken).where(col(RefreshToken.clinic_id) == clinic_id)
    return db.exec(query.where(col(RefreshToken.token_hash) == token_hash)).first()


def enrolment_by_hash(db: Transaction, code_hash: str) -> Enrolment | None:
    return db.exec(select(Enrolment).where(col(Enrolment.code_hash) == code_hash).with_for_update()).first()


def refresh_token_clinic(db: Transaction, token_hash: str) -> UUID | None:
    return db.exec(select(RefreshToken.clinic_id).where(col(RefreshToken.token_hash) == token_hash)).first()


def enrolment_clinic(db: Transaction, code_hash: str) -> UUID | None:
    return db.exec(select(Enrolment.clinic_id).where(col(Enrolment.code_hash) == code_hash)).first()


def relatives(db: Transaction, clinic_id: UUID, token_hash: str) -> list[RefreshToken]:
    """The token, its successors and siblings, locked, so that refreshing and revoking wait for each other."""
    of_clinic = select(RefreshToken).where(col(RefreshToken.clinic_id) == clinic_id)
    of_clinic = of_clinic.execution_options(populate_existing=True)
    mine = db.exec(of_clinic.where(col(RefreshToken.token_hash) == token_hash).with_for_update()).first()
    if mine is None:
        return []
    parents = [mine.id] if mine.parent_id is None else [mine.id, mine.parent_id]
    near = of_clinic.where(col(RefreshToken.parent_id).in_(parents), col(RefreshToken.id) != mine.id)
    return [mine, *db.exec(near.order_by(col(RefreshToken.id)).with_for_update())]


def revoke_family(db: Transaction, clinic_id: UUID, family_id: UUID, now: datetime) -> None:
    db.execute(
        update(RefreshToken)
        .where(col(RefreshToken.clinic_id) == clinic_id, col(RefreshToken.family_id) == family_id)
        .where(col(RefreshToken.revoked_at).is_(None))
        .values(revoked_at=now)
    )


def time_zone(db: Transaction, clinic_id: UUID) -> ZoneInfo:
    return ZoneInfo(db.get_one(Clinic, clinic_id).time_zone)


_TABLES = {"delivery_id": "webhook_deliveries"}


def are_there(db: Transaction, clinic_id: UUID, ids: Mapping[str, UUID]) -> bool:
    """Whether everything that an address names is of this clinic, and of the patient that it names. `ids` are by the
    name of the parameter: `check_in_id` names a row of the table `check_ins`."""
    patient_id = ids.get("patient_id")
    for name, value in ids.items():
        table = SQLModel.metadata.tables[_TABLES.get(name, name.removesuffix("_id") + "s")]
        mine = [table.c.clinic_id == clinic_id, table.c.id == value]
        if patient_id is not None and "patient_id" in table.c:
            mine.append(table.c.patient_id == patient_id)
        if db.execute(rows_of(table.c.id).where(*mine)).first() is None:
            return False
    return True


def clinic_ids(db: Transaction) -> list[UUID]:
    """The ids of all clinics. They are read from the users, because every clinic has at least one."""
    return list(db.exec(select(User.clinic_id).distinct()))


def purge(db: Transaction, clinic_id: UUID, now: datetime) -> None:
    """Deletes a clinic's expired refresh tokens, enrolment codes and password codes."""
    for kind in (RefreshToken, Enrolment, PasswordCode):
        db.execute(delete(kind).where(col(kind.clinic_id) == clinic_id, col(kind.expires_at) <= now))


def hand_over_devices(db: Transaction, clinic_id: UUID, patient_id: UUID, to: UUID) -> None:
    """Makes a patient's devices those of the patient into whose record this one was merged."""
    for device in devices(db, clinic_id, patient_id):
        device.patient_id, device.former_patient_ids = to, [*device.former_patient_ids, str(patient_id)]
        db.add(device)
    db.flush()


def hand_back_devices(db: Transaction, clinic_id: UUID, patient_id: UUID, to: UUID) -> None:
    """Gives the devices back that came with a merge."""
    for device in devices(db, clinic_id, patient_id):
        if device.former_patient_ids[-1:] == [str(to)]:
            device.patient_id, device.former_patient_ids = to, device.former_patient_ids[:-1]
            db.add(device)
    db.flush()


def unname_devices(db: Transaction, clinic_id: UUID, patient_id: UUID) -> None:
    """Deletes the names that a patient gave to their devices."""
    mine = (col(Device.clinic_id) == clinic_id, col(Device.patient_id) == patient_id)
    db.execute(update(Device).where(*mine).values(sealed_name=None))


def revoke_devices(db: Transaction, clinic_id: UUID, patient_id: UUID, now: datetime) -> None:
    """Disables a patient's devices and expires the codes that could still enrol one."""
    db.execute(
        update(Enrolment)
        .where(col(Enrolment.clinic_id) == clinic_id, col(Enrolment.patient_id) == patient_id)
        .where(col(Enrolment.redeemed_at).is_(None))
        .values(expires_at=now)
    )
    db.execute(
        update(Device)
        .where(col(Device.clinic_id) == clinic_id, col(Device.patient_id) == patient_id)
        .where(col(Device.disabled_at).is_(None))
        .values(disabled_at=now)
    )


def _newest(db: Transaction, kind: Any, query: Any, after: Sequence[str] | None, limit: int) -> Sequence[Any]:
    place = (col(kind.created_at), col(kind.id))
    if after is not None:
        query = query.where(below(place, (datetime.fromisoformat(after[0]), UUID(after[1]))))
    found: Sequence[Any] = db.exec(query.order_by(*(column.desc() for column in place)).limit(limit + 1)).all()
    return found
