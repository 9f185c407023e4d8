"""Settings, read once from the environment (or `.env`). They are frozen and passed to what needs them."""

import os
import secrets
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_DATABASE_URL = "sqlite:///./data/holdfast.db"
_PREFIX = "HOLDFAST_"
_SCHEMES = ("sqlite:///", "postgresql://")
# Read by the test suite only.
_NOT_OURS = frozenset({"HOLDFAST_TEST_DATABASE_URL"})


def _is_database_url(url: str) -> str:
    if not url.startswith(_SCHEMES):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return url


def _upper(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


DatabaseUrl = Annotated[str, AfterValidator(_is_database_url)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]


class Settings(BaseSettings):
    """Each variable is named `HOLDFAST_` plus the field's name in capitals. `previous_secret_key`: the secret that is
    being replaced. `rate_limit`: requests per minute and caller, 0 is no limit. `public_url`: where clients reach the
    service; empty: where it listens. `allowed_hosts`, `cors_origins`, `trusted_proxies`: separated by commas; no
    allowed hosts means any. `connections`: the most at once in one process; `connections_per_address`: of these from
    one network address, 0 is half. `header_seconds` and `body_seconds`: how long a client may take to send its header
    and its body; `idle_seconds`: how long a connection may rest between requests. Raises ValueError without a usable
    secret key; on SQLite a missing one is generated beside a database that is not there yet."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: DatabaseUrl = DEFAULT_DATABASE_URL
    migration_database_url: DatabaseUrl | None = None
    secret_key: SecretStr = SecretStr("")
    previous_secret_key: SecretStr = SecretStr("")
    log_level: LogLevel = "INFO"
    log_format: Literal["text", "json"] = "text"
    public_url: str = ""
    allowed_hosts: str = ""
    background_jobs: bool = False
    rate_limit: int = Field(default=30_000, ge=0)
    cors_origins: str = ""
    trusted_proxies: str = ""
    smtp_url: SecretStr = SecretStr("")
    metrics_port: int = Field(default=0, ge=0, le=65_535)
    oidc_issuer: str = ""
    oidc_audience: str = ""
    connections: int = Field(default=1_000, ge=2)
    connections_per_address: int = Field(default=0, ge=0)
    header_seconds: float = Field(default=10, gt=0)
    body_seconds: float = Field(default=30, gt=0)
    idle_seconds: float = Field(default=20, gt=0)

    @property
    def secret(self) -> str:
        """The secret from which all keys are derived."""
        return self.secret_key.get_secret_value()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret, and while it replaces another one that one."""
        previous = self.previous_secret_key.get_secret_value()
        return (self.secret, previous) if previous else (self.secret,)

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @model_validator(mode="after")
    def _has_a_secret_key(self) -> Self:
        if not self.secret:
            first, *others = keys_beside(self.database_url)
            object.__setattr__(self, "secret_key", SecretStr(first))
            if others and not self.previous_secret_key.get_secret_value():
                object.__setattr__(self, "previous_secret_key", SecretStr(others[0]))
        if any(len(secret) < 32 for secret in self.secrets):
            raise ValueError("HOLDFAST_SECRET_KEY must have at least 32 characters")
        if bool(self.oidc_issuer) != bool(self.oidc_audience):
            raise ValueError("HOLDFAST_OIDC_ISSUER and HOLDFAST_OIDC_AUDIENCE go together")
        return self


def unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with each `HOLDFAST_` variable of the environment or of `.env` that no setting reads."""
    known = {_PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted({*environment, *dotenv_values(".env")} - known - _NOT_OURS):
        if name.startswith(_PREFIX):
            near = get_close_matches(name, known, 1)
            yield f"{name} is not known" + (f": {near[0]} may be meant" if near else "")


def key_file(database_url: str) -> Path:
    """Where the secret of an SQLite database is kept. ValueError for other databases."""
    if not database_url.startswith("sqlite:///"):
        raise ValueError("HOLDFAST_SECRET_KEY is required when the database is not SQLite")
    database = Path(database_url.removeprefix("sqlite:///"))
    return database.with_name(database.name + ".key")


def next_key_file(database_url: str) -> Path:
    """Where the secret is kept that `holdfast keys rotate` puts in the place of the one beside the database."""
    path = key_file(database_url)
    return path.with_name(path.name + ".next")


def keys_beside(database_url: str) -> list[str]:
    """The secret in the file beside an SQLite database (mode 0600), made with a fresh database; while it is replaced,
    the new one and then the old. Raises ValueError for another database, and where a database is filled and its key is
    gone: a new key would open nothing of it."""
    path, coming = key_file(database_url), next_key_file(database_url)
    database = path.with_name(path.name.removesuffix(".key"))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        if database.exists() and database.stat().st_size:
            raise ValueError(
                f"the database {database.name} is there and its key file {path.name} is not: put that file back, or "
                "give the key as HOLDFAST_SECRET_KEY"
            )
        write_key(path)
    held = path.read_text(encoding="ascii").strip()
    return [coming.read_text(encoding="ascii").strip(), held] if coming.exists() else [held]


def write_key(path: Path, secret: str | None = None) -> None:
    """Writes a secret, or a new one, to a file that only its owner may read; leaves a file that is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret or secrets.token_urlsafe(48))
        file.flush()
        os.fsync(file.fileno())
