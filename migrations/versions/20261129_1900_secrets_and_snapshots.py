"""Which secret sealed what, processes that serve, devices' names under their patients' keys.

Needs the service's secret where there are clinics: a database keeps the id of its secret from now on.
"""

import os
import time
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import context, op
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.dialects import postgresql

revision = "20261129_1900"
down_revision = "20261129_1500"
branch_labels = None
depends_on = None

_TABLES = ("clinics", "patient_keys", "identifiers", "audit_seals", "devices")
_keys = sa.table(
    "patient_keys", sa.column("clinic_id", sa.Uuid()), sa.column("patient_id", sa.Uuid()),
    sa.column("wrapped", sa.LargeBinary()),
)  # fmt: skip
_devices = sa.table(
    "devices", sa.column("clinic_id", sa.Uuid()), sa.column("id", sa.Uuid()), sa.column("patient_id", sa.Uuid()),
    sa.column("name", sa.String()), sa.column("sealed_name", sa.LargeBinary()),
)  # fmt: skip


def _document() -> Any:
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def _moment() -> Any:
    return sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _forced(on: bool) -> None:
    """On PostgreSQL even the owner is held to one clinic, unless told otherwise."""
    for table in _TABLES if _is_postgresql() else ():
        op.execute(f"alter table {table} {'' if on else 'no '}force row level security")


@cache
def _key(purpose: str) -> bytes:
    secret = context.config.attributes.get("secret_key", "")
    if not secret:
        raise RuntimeError("HOLDFAST_SECRET_KEY is needed: there are clinics, and their database keeps its id")
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(secret.encode())


def _own_keys() -> dict[tuple[UUID, UUID], bytes]:
    found = {}
    for row in op.get_bind().execute(sa.select(_keys)):
        bound = row.clinic_id.bytes + row.patient_id.bytes
        try:
            found[row.clinic_id, row.patient_id] = AESGCM(_key("patient keys")).decrypt(
                row.wrapped[:12], row.wrapped[12:], bound
            )
        except InvalidTag:
            continue
    return found


def upgrade() -> None:
    _key.cache_clear()
    _forced(False)
    connection = op.get_bind()
    op.create_table(
        "service_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("changed_at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_service_keys"),
    )
    op.create_table(
        "processes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key_ids", _document(), nullable=False),
        sa.Column("seals_with", sa.String(), nullable=False),
        sa.Column("seen_at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_processes"),
    )
    op.create_table(
        "cohort_snapshots",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("taken_at", _moment(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_cohort_snapshots_clinic_id"),
        sa.PrimaryKeyConstraint("clinic_id", "taken_at", name="pk_cohort_snapshots"),
    )
    filled = connection.execute(sa.text("select 1 from clinics limit 1")).first() is not None
    keys = _own_keys() if filled else {}
    if filled and not keys and connection.execute(sa.select(_keys)).first() is not None:
        raise RuntimeError("HOLDFAST_SECRET_KEY is not the secret of this database: nothing was changed")
    key_id = _key("key id")[:8].hex() if filled else ""
    if filled:
        now = "now()" if _is_postgresql() else str(int(time.time() * 1_000_000))
        op.execute(f"insert into service_keys (id, state, changed_at) values ('{key_id}', 'current', {now})")
    for table in ("patient_keys", "identifiers", "audit_seals"):
        op.add_column(table, sa.Column("key_id", sa.String(), nullable=False, server_default=key_id))
        if _is_postgresql():  # SQLite would copy the table for that
            op.alter_column(table, "key_id", server_default=None)
    op.add_column("users", sa.Column("key_id", sa.String(), nullable=True))
    op.execute(f"update users set key_id = '{key_id}' where otp_secret is not null or otp_pending is not null")
    op.create_index("ix_patient_keys_clinic_id_key_id", "patient_keys", ["clinic_id", "key_id"])
    op.add_column("devices", sa.Column("sealed_name", sa.LargeBinary(), nullable=True))
    for row in connection.execute(sa.select(_devices)).all():
        own = keys.get((row.clinic_id, row.patient_id))
        if own is not None:
            nonce = os.urandom(12)
            sealed = nonce + AESGCM(own).encrypt(nonce, row.name.encode(), row.clinic_id.bytes + row.id.bytes)
            mine = (_devices.c.clinic_id == row.clinic_id, _devices.c.id == row.id)
            connection.execute(_devices.update().where(*mine).values(sealed_name=row.patient_id.bytes + sealed))
    op.drop_column("devices", "name")
    op.add_column("alert_notices", sa.Column("set_at", _moment(), nullable=True))
    with op.batch_alter_table("users") as users:
        users.drop_constraint("uq_users_email", type_="unique")
        users.create_unique_constraint("uq_users_clinic_id_email", ["clinic_id", "email"])
    op.create_index("ix_users_email", "users", ["email"])
    _forced(True)


def downgrade() -> None:
    _key.cache_clear()
    _forced(False)
    connection = op.get_bind()
    if connection.execute(sa.text("select 1 from users group by email having count(*) > 1 limit 1")).first():
        raise RuntimeError("an e-mail is in use in two clinics, as the release before cannot: nothing was changed")
    op.add_column("devices", sa.Column("name", sa.String(), nullable=False, server_default="erased"))
    rows = connection.execute(sa.select(_devices).where(_devices.c.sealed_name.is_not(None))).all()
    keys = _own_keys() if rows else {}
    for row in rows:
        own = keys.get((row.clinic_id, UUID(bytes=row.sealed_name[:16])))
        if own is not None:
            nonce, content = row.sealed_name[16:28], row.sealed_name[28:]
            name = AESGCM(own).decrypt(nonce, content, row.clinic_id.bytes + row.id.bytes).decode()
            mine = (_devices.c.clinic_id == row.clinic_id, _devices.c.id == row.id)
            connection.execute(_devices.update().where(*mine).values(name=name))
    op.drop_column("devices", "sealed_name")
    op.drop_index("ix_patient_keys_clinic_id_key_id", "patient_keys")
    for table in ("users", "audit_seals", "identifiers", "patient_keys"):
        op.drop_column(table, "key_id")
    op.drop_column("alert_notices", "set_at")
    op.drop_index("ix_users_email", "users")
    with op.batch_alter_table("users") as users:
        users.drop_constraint("uq_users_clinic_id_email", type_="unique")
        users.create_unique_constraint("uq_users_email", ["email"])
    op.drop_table("cohort_snapshots")
    op.drop_table("processes")
    op.drop_table("service_keys")
    _forced(True)
