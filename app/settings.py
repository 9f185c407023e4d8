"""Settings, read once from the environment (or `.env`). They are frozen and passed to what needs them."""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_DATABASE_URL = "sqlite:///./data/holdfast.db"
_PREFIX = "HOLDFAST_"
_LEAST_SECRET = 32
_SCHEMES = ("sqlite:///", "postgresql://")
# Read by the test suite only.
_NOT_OURS = frozenset({"HOLDFAST_TEST_DATABASE_URL"})


def _is_database_url(url: str) -> str:
    if not url.startswith(_SCHEMES):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError("must have a number as its port") from None
    return url


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _are_networks(text: str) -> str:
    for one in _listed(text):
        try:
            _ = one == "*" or ip_network(one, strict=False)
        except ValueError:
            raise ValueError("must be IP addresses or networks, separated by commas, or *") from None
    return text


def _are_hosts(text: str) -> str:
    if any(set("/@?#") & set(one) for one in _listed(text)):
        raise ValueError("must be names of hosts without http://, separated by commas")
    return text


def _are_origins(text: str) -> str:
    if any(one != "*" and not _is_address(one, "http", "https") for one in _listed(text)):
        raise ValueError("must be origins as https://app.example.org, separated by commas, or *")
    return text


def _is_public_url(text: str) -> str:
    if text and not _is_address(text, "http", "https"):
        raise ValueError("must begin with http:// or https:// and name a host")
    return text


def _is_smtp_url(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value() and not _is_address(secret.get_secret_value(), "smtp", "smtps"):
        raise ValueError("must begin with smtp:// or smtps:// and name a host")
    return secret


def _is_address(text: str, *schemes: str) -> bool:
    try:
        found = urlsplit(text)
        return found.scheme in schemes and bool(found.hostname) and found.port != 0
    except ValueError:
        return False


def _upper(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


DatabaseUrl = Annotated[str, AfterValidator(_is_database_url)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]


class Settings(BaseSettings):
    """Each variable is named `HOLDFAST_` plus the field's name in capitals. `previous_secret_key`: the secret that is
    being replaced, and others before it, separated by blanks. `rate_limit`: requests per minute and caller, 0 is no
    limit. `public_url`: where clients reach the service; empty: where it listens. `allowed_hosts`, `cors_origins`,
    `trusted_proxies`: separated by commas; no allowed hosts means any. `webhook_hosts`: those to which webhooks may go
    though they are not public, or not reached over https, separated by commas. `connections`: the most at once in one
    process; `connections_per_address`: of these from one network address, 0 is half. `header_seconds` and
    `body_seconds`: how long a client may take to send its header and its body; `idle_seconds`: how long a connection
    may rest between requests. Raises ValueError without a usable secret key; on SQLite a missing one is generated
    beside a database that is not there yet."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: DatabaseUrl = DEFAULT_DATABASE_URL
    migration_database_url: DatabaseUrl | None = None
    secret_key: SecretStr = SecretStr("")
    previous_secret_key: SecretStr = SecretStr("")
    log_level: LogLevel = "INFO"
    log_format: Literal["text", "json"] = "text"
    public_url: Annotated[str, AfterValidator(_is_public_url)] = ""
    allowed_hosts: Annotated[str, AfterValidator(_are_hosts)] = ""
    background_jobs: bool = False
    rate_limit: int = Field(default=30_000, ge=0)
    cors_origins: Annotated[str, AfterValidator(_are_origins)] = ""
    trusted_proxies: Annotated[str, AfterValidator(_are_networks)] = ""
    smtp_url: Annotated[SecretStr, AfterValidator(_is_smtp_url)] = SecretStr("")
    metrics_port: int = Field(default=0, ge=0, le=65_535)
    webhook_hosts: Annotated[str, AfterValidator(_are_hosts)] = ""
    oidc_issuer: str = ""
    oidc_audience: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr = SecretStr("")
    connections: int = Field(default=1_000, ge=2)
    connections_per_address: int = Field(default=0, ge=0)
    header_seconds: float = Field(default=10, gt=0)
    body_seconds: float = Field(default=30, gt=0)
    idle_seconds: float = Field(default=20, gt=0)

    # The secret beside an SQLite database, while `keys rotate` replaces it by the one in the other file.
    _beside: tuple[str, ...] = PrivateAttr(())

    @property
    def secret(self) -> str:
        """The secret from which all keys are derived."""
        return self.secret_key.get_secret_value()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret, and after it those that it replaced or is replacing."""
        return tuple(dict.fromkeys([self.secret, *self._beside, *self.previous_secret_key.get_secret_value().split()]))

    @property
    def webhook_host_names(self) -> frozenset[str]:
        """The hosts to which webhooks may go that are not public, or not reached over https."""
        return frozenset(name.strip().lower() for name in self.webhook_hosts.split(",") if name.strip())

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @model_validator(mode="after")
    def _has_a_secret_key(self) -> Self:
        if not self.secret:
            first, *others = keys_beside(self.database_url)
            object.__setattr__(self, "secret_key", SecretStr(first))
            self._beside = tuple(others)
        if any(len(secret) < _LEAST_SECRET for secret in self.secrets):
            raise ValueError(f"HOLDFAST_SECRET_KEY must have at least {_LEAST_SECRET} characters")
        if bool(self.oidc_issuer) != bool(self.oidc_audience):
            raise ValueError("HOLDFAST_OIDC_ISSUER and HOLDFAST_OIDC_AUDIENCE go together")
        if self.oidc_client_id and not self.oidc_issuer:
            raise ValueError("HOLDFAST_OIDC_CLIENT_ID needs HOLDFAST_OIDC_ISSUER")
        return self


def unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with each `HOLDFAST_` variable of the environment or of `.env` that no setting reads."""
    known = {_PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted({*environment, *dotenv_values(".env")} - known - _NOT_OURS):
        if name.startswith(_PREFIX):
            near = get_close_matches(name, known, 1, cutoff=0.8)
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
    return [_read_key(coming), _read_key(path)] if coming.exists() else [_read_key(path)]


def _read_key(path: Path) -> str:
    try:
        found = path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        found = ""
    if len(found) < _LEAST_SECRET:
        raise ValueError(f"the key file {path.name} holds no key of {_LEAST_SECRET} characters")
    return found


def write_key(path: Path, secret: str | None = None) -> None:
    """Writes a secret, or a new one, to a file that only its owner may read; leaves a file that is there. The file is
    there only once it is whole. Raises OSError where it cannot be written."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(secret or secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink(missing_ok=True)
