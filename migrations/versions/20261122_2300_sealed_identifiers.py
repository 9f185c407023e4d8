"""Identifiers in a table of their own, sealed under a key per patient.

Needs the service's secret where there are patients: what is stored is sealed and opened here, and nowhere is it lost.
"""

import hashlib
import hmac
import json
import os
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import context, op
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

revision = "20261122_2300"
down_revision = "20261122_2255"
branch_labels = None
depends_on = None

_TABLES = ("patients", "identifiers", "patient_keys", "kept_answers")
_patients = sa.table(
    "patients",
    sa.column("clinic_id", sa.Uuid()),
    sa.column("id", sa.Uuid()),
    sa.column("external_id", sa.String()),
    sa.column("label", sa.String()),
    sa.column("birth_year", sa.Integer()),
    sa.column("posted", sa.String()),
)
_identifiers = sa.table(
    "identifiers",
    sa.column("clinic_id", sa.Uuid()),
    sa.column("patient_id", sa.Uuid()),
    sa.column("external_id_digest", sa.String()),
    sa.column("sealed", sa.LargeBinary()),
)
_keys = sa.table(
    "patient_keys",
    sa.column("clinic_id", sa.Uuid()),
    sa.column("patient_id", sa.Uuid()),
    sa.column("wrapped", sa.LargeBinary()),
)


def _moment() -> Any:
    return sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _forced(on: bool, tables: tuple[str, ...]) -> None:
    """On PostgreSQL even the owner is held to one clinic, unless told otherwise."""
    for table in tables if _is_postgresql() else ():
        op.execute(f"alter table {table} {'' if on else 'no '}force row level security")


@cache
def _key(purpose: str) -> bytes:
    secret = context.config.attributes.get("secret_key", "")
    if not secret:
        raise RuntimeError("HOLDFAST_SECRET_KEY is needed: there are patients whose identifiers are to be sealed")
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(secret.encode())


def _encrypt(key: bytes, content: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, content, bound)


def _decrypt(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], bound)


def _digest(clinic_id: UUID, text: str) -> str:
    return hmac.digest(_key("identifiers"), clinic_id.bytes + text.encode(), hashlib.sha256).hex()


def _mine(clinic_id: UUID, patient_id: UUID) -> Any:
    return sa.and_(_patients.c.clinic_id == clinic_id, _patients.c.id == patient_id)


def upgrade() -> None:
    for name, *columns in (
        (
            "identifiers",
            sa.Column("external_id_digest", sa.String(), nullable=False),
            sa.Column("sealed", sa.LargeBinary(), nullable=False),
            sa.UniqueConstraint(
                "clinic_id", "external_id_digest", name=op.f("uq_identifiers_clinic_id_external_id_digest")
            ),
        ),
        ("patient_keys", sa.Column("wrapped", sa.LargeBinary(), nullable=False)),
    ):
        op.create_table(
            name,
            sa.Column("clinic_id", sa.Uuid(), nullable=False),
            sa.Column("patient_id", sa.Uuid(), nullable=False),
            *columns,
            sa.ForeignKeyConstraint(
                ["clinic_id", "patient_id"],
                ["patients.clinic_id", "patients.id"],
                name=op.f(f"fk_{name}_clinic_id_patient_id"),
            ),
            sa.PrimaryKeyConstraint("clinic_id", "patient_id", name=op.f(f"pk_{name}")),
        )
        if _is_postgresql():
            clinic = "clinic_id = nullif(current_setting('holdfast.clinic_id', true), '')::uuid"
            op.execute(f"alter table {name} enable row level security")
            op.execute(f"create policy one_clinic on {name} using ({clinic}) with check ({clinic})")
    _forced(False, _TABLES)
    connection = op.get_bind()
    for row in connection.execute(sa.select(_patients)).all():
        bound, key = row.clinic_id.bytes + row.id.bytes, AESGCM.generate_key(256)
        identity = {"external_id": row.external_id, "label": row.label, "birth_year": row.birth_year}
        whose = {"clinic_id": row.clinic_id, "patient_id": row.id}
        connection.execute(_keys.insert().values(**whose, wrapped=_encrypt(_key("patient keys"), key, bound)))
        connection.execute(
            _identifiers.insert().values(
                **whose,
                external_id_digest=_digest(row.clinic_id, row.external_id),
                sealed=_encrypt(key, json.dumps(identity).encode(), bound),
            )
        )
        posted = ""
        if row.posted:
            content = {**json.loads(row.posted), "care_team": []}
            posted = _digest(row.clinic_id, json.dumps(content, separators=(",", ":"), ensure_ascii=False))
        connection.execute(_patients.update().where(_mine(row.clinic_id, row.id)).values(posted=posted))
    # Answers kept for a day were not sealed until now: they name patients.
    op.execute("delete from kept_answers")
    _forced(True, _TABLES)
    op.add_column("patients", sa.Column("erased_at", _moment(), nullable=True))
    with op.batch_alter_table("patients") as patients:
        patients.drop_constraint("uq_patients_clinic_id_external_id", type_="unique")
        for column in ("birth_year", "label", "external_id"):
            patients.drop_column(column)


def downgrade() -> None:
    op.add_column("patients", sa.Column("external_id", sa.String(), nullable=True))
    op.add_column("patients", sa.Column("label", sa.String(), nullable=True))
    op.add_column("patients", sa.Column("birth_year", sa.Integer(), nullable=True))
    _forced(False, _TABLES)
    op.execute("delete from kept_answers")  # sealed, they could not be given again
    connection = op.get_bind()
    keys = {(row.clinic_id, row.patient_id): row.wrapped for row in connection.execute(sa.select(_keys))}
    sealed = {(row.clinic_id, row.patient_id): row.sealed for row in connection.execute(sa.select(_identifiers))}
    for clinic_id, patient_id in connection.execute(sa.select(_patients.c.clinic_id, _patients.c.id)).all():
        identity: dict[str, Any] = {"external_id": f"erased-{patient_id.hex[-12:]}"}
        if (clinic_id, patient_id) in keys:
            bound = clinic_id.bytes + patient_id.bytes
            key = _decrypt(_key("patient keys"), keys[clinic_id, patient_id], bound)
            identity = json.loads(_decrypt(key, sealed[clinic_id, patient_id], bound))
        # What was posted cannot be told from its hash: a repeat of it is a conflict from now on.
        connection.execute(_patients.update().where(_mine(clinic_id, patient_id)).values(**identity, posted=""))
    _forced(True, _TABLES)
    with op.batch_alter_table("patients") as patients:
        patients.alter_column("external_id", existing_type=sa.String(), nullable=False)
        patients.create_unique_constraint("uq_patients_clinic_id_external_id", ["clinic_id", "external_id"])
        patients.drop_column("erased_at")
    op.drop_table("patient_keys")
    op.drop_table("identifiers")
