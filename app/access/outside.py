"""People whom an outside OpenID Connect issuer vouches for, by tokens signed with its published keys (JWKS)."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import jwt

from app.errors import InvalidToken

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
# Authentication methods that are more than a password. Source: RFC 8176.
_FACTORS = frozenset({"mfa", "otp", "hwk", "swk", "pop", "sc", "fpt", "face", "iris", "vbm"})
_CLOCKS_DIFFER_SECONDS = 30
_DISCOVERY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Vouched:
    """Whom the issuer speaks for: a verified e-mail, and whether they showed more than a password."""

    email: str
    has_factor: bool
    expires_at: float


class OutsideIssuer:
    """One issuer, found by its discovery document (OpenID Connect Discovery 1.0). Its keys are held for five minutes
    and asked for anew when a token names one that is not known, at most every 30 seconds."""

    def __init__(self, issuer: str, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys: jwt.PyJWKClient | None = None

    def issued(self, token: str) -> bool:
        """Whether the token says that it is of this issuer. Nothing is verified yet."""
        try:
            return jwt.decode(token, options={"verify_signature": False}).get("iss") == self._issuer
        except jwt.InvalidTokenError:
            return False

    async def vouched(self, token: str) -> Vouched:
        """Whom the token speaks for. Raises InvalidToken for one that is not signed by the issuer, for us and current,
        or that names no verified e-mail."""
        return await asyncio.to_thread(self._vouched, token)

    def _vouched(self, token: str) -> Vouched:
        try:
            key = self._client().get_signing_key(jwt.get_unverified_header(token)["kid"])
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=_CLOCKS_DIFFER_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, KeyError, OSError, ValueError, TypeError):
            raise InvalidToken from None
        email, verified, methods = claims.get("email"), claims.get("email_verified"), claims.get("amr")
        if not isinstance(email, str) or verified is not True:
            raise InvalidToken("the issuer vouches for no verified e-mail")
        shown = set(methods) if isinstance(methods, list) and all(isinstance(m, str) for m in methods) else set()
        return Vouched(email.strip().lower(), bool(shown & _FACTORS), float(claims["exp"]))

    def _client(self) -> jwt.PyJWKClient:
        if self._keys is None:
            address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
            with urlopen(address, timeout=_DISCOVERY_SECONDS) as answer:  # noqa: S310 - the operator's own setting
                found = json.load(answer)
            if found.get("issuer") != self._issuer:
                raise ValueError("the discovery document is of another issuer")
            self._keys = jwt.PyJWKClient(found["jwks_uri"], timeout=_DISCOVERY_SECONDS)
        return self._keys
