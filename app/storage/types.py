"""Column types and names that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, LargeBinary, MetaData, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field, Session, SQLModel
from uuid_utils.compat import uuid7

# A session of the ORM lives exactly as long as one transaction, and "session" means an infusion's here.
Transaction = Session

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

SQLModel.metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """An aware instant to the microsecond: `timestamptz` on PostgreSQL, microseconds since 1970 on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        sqlite = dialect.name == "sqlite"
        return dialect.type_descriptor(BigInteger() if sqlite else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return (value - _EPOCH) // _MICROSECOND

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return _instant if dialect.name == "sqlite" else _in_utc


@lru_cache(maxsize=1_024)
def _instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + microseconds * _MICROSECOND


def _in_utc(aware: datetime | None) -> datetime | None:
    return None if aware is None else aware.astimezone(UTC)


class Uid(TypeDecorator[UUID]):
    """An id: `uuid` on PostgreSQL, 16 bytes on SQLite. Ids of both sort alike."""

    impl = Uuid
    cache_ok = True
    bytes_as_uuid = staticmethod(lambda value: None if value is None else UUID(bytes=value))

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(LargeBinary(16) if dialect.name == "sqlite" else Uuid())

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name != "sqlite" else value.bytes

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return self.bytes_as_uuid if dialect.name == "sqlite" else None


class TextId(Uid):
    """An id that is read as text, for reads of many rows; it is not for values that are bound."""

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return _dashed if dialect.name == "sqlite" else str


def _dashed(some: bytes) -> str:
    digits = some.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class Repeated(Uid):
    """An id that repeats in many rows, of which SQLite's bytes are read once."""

    cache_ok = True
    bytes_as_uuid = staticmethod(lru_cache(maxsize=1_024)(Uid.bytes_as_uuid))


def document() -> Any:
    """A JSON document: `jsonb` on PostgreSQL, text on SQLite. None is stored as SQL null."""
    return JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def key() -> Any:
    """A UUID column of a primary key."""
    return Field(primary_key=True, sa_type=Uid)


def new_id() -> UUID:
    """A UUIDv7. Ids of one process ascend, which keeps indexes compact; across processes they need not."""
    return uuid7()
