"""Settings, read once from the environment (or `.env`). They are frozen and passed to what needs them."""

import os
import secrets
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_DATABASE_URL = "sqlite:///./data/holdfast.db"


class Settings(BaseSettings):
    """Each variable is named `HOLDFAST_` plus the field's name in capitals. `rate_limit`: requests per minute and
    caller, 0 is no limit. `cors_origins`, `trusted_proxies`: separated by commas. Raises ValueError without a usable
    secret key; on SQLite a missing one is generated."""

    model_config = SettingsConfigDict(
        env_prefix="HOLDFAST_", env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: str = DEFAULT_DATABASE_URL
    migration_database_url: str | None = None
    secret_key: SecretStr = SecretStr("")
    log_level: str = "INFO"
    public_url: str = "http://127.0.0.1:8000"
    background_jobs: bool = False
    rate_limit: int = Field(default=30_000, ge=0)
    cors_origins: str = ""
    trusted_proxies: str = ""
    smtp_url: SecretStr = SecretStr("")
    metrics_port: int = Field(default=0, ge=0, le=65_535)
    oidc_issuer: str = ""
    oidc_audience: str = ""

    @property
    def secret(self) -> str:
        """The secret from which all keys are derived."""
        return self.secret_key.get_secret_value()

    @model_validator(mode="after")
    def _has_a_secret_key(self) -> Self:
        if not self.secret:
            key = key_beside(self.database_url)
            object.__setattr__(self, "secret_key", SecretStr(key))
        if len(self.secret) < 32:
            raise ValueError("HOLDFAST_SECRET_KEY must have at least 32 characters")
        if bool(self.oidc_issuer) != bool(self.oidc_audience):
            raise ValueError("HOLDFAST_OIDC_ISSUER and HOLDFAST_OIDC_AUDIENCE go together")
        return self


def key_beside(database_url: str) -> str:
    """The secret in a file beside an SQLite database (mode 0600), made on first use. ValueError for other databases."""
    if not database_url.startswith("sqlite:///"):
        raise ValueError("HOLDFAST_SECRET_KEY is required when the database is not SQLite")
    database = Path(database_url.removeprefix("sqlite:///"))
    path = database.with_name(database.name + ".key")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        key = secrets.token_urlsafe(48)
        file.write(key)
    return key
