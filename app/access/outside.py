"""People who sign in at an outside OpenID Connect issuer: its tokens, verified by its published keys (JWKS)."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import jwt

from app.errors import InvalidToken

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
# Authentication methods. Source: RFC 8176.
_SEVERAL = "mfa"
_KNOWN = frozenset({"pwd", "pin", "kba"})
_HELD = frozenset({"otp", "hwk", "swk", "pop", "sc", "sms", "tel"})
_OWN = frozenset({"fpt", "face", "iris", "retina", "vbm"})
_CLOCKS_DIFFER_SECONDS = 30
_DISCOVERY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class VerifiedPerson:
    """The person whom a token of the issuer names: their verified e-mail, whether they proved who they are in more than
    one way, and when the token expires, in seconds since 1970."""

    email: str
    has_factor: bool
    expires_at: float


class OutsideIssuer:
    """One issuer, found by its discovery document (OpenID Connect Discovery 1.0). Its keys are cached for five minutes.
    They are fetched again when a token names an unknown key, at most every 30 seconds."""

    def __init__(self, issuer: str, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys: jwt.PyJWKClient | None = None
        # A thread pool of its own, so that nothing else waits while the issuer does not answer.
        self._pool = ThreadPoolExecutor(2, "holdfast-issuer")

    def issued(self, token: str) -> bool:
        """Whether the token claims to come from this issuer. Nothing is verified yet."""
        try:
            return jwt.decode(token, options={"verify_signature": False}).get("iss") == self._issuer
        except jwt.InvalidTokenError:
            return False

    async def verified(self, token: str) -> VerifiedPerson:
        """The person whom the token names. Raises InvalidToken for a token that the issuer did not sign, that is not
        meant for this service or not current, or that names no verified e-mail."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._verified, token)

    def _verified(self, token: str) -> VerifiedPerson:
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
        except (jwt.PyJWTError, KeyError, OSError, ValueError, TypeError, AttributeError):
            raise InvalidToken from None
        email, verified, methods = claims.get("email"), claims.get("email_verified"), claims.get("amr")
        if not isinstance(email, str) or verified is not True:
            raise InvalidToken("the issuer vouches for no verified e-mail")
        shown = set(methods) if isinstance(methods, list) and all(isinstance(m, str) for m in methods) else set()
        kinds = sum(bool(shown & kind) for kind in (_KNOWN, _HELD, _OWN))
        return VerifiedPerson(email.strip().lower(), _SEVERAL in shown or kinds > 1, float(claims["exp"]))

    def _client(self) -> jwt.PyJWKClient:
        if self._keys is None:
            address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
            with urlopen(address, timeout=_DISCOVERY_SECONDS) as answer:  # noqa: S310 - the operator's own setting
                found = json.load(answer)
            if found.get("issuer") != self._issuer:
                raise ValueError("the discovery document is of another issuer")
            self._keys = jwt.PyJWKClient(found["jwks_uri"], timeout=_DISCOVERY_SECONDS)
        return self._keys
