"""People who sign in at an outside OpenID Connect issuer: its tokens, verified by its published keys (JWKS)."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode
from urllib.request import urlopen

import jwt

from app.errors import InvalidToken

T = TypeVar("T")

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
    They are fetched again when a token names an unknown key, at most every 30 seconds. With a `client`, its id and
    secret, people can sign in to the pages there."""

    def __init__(self, issuer: str, audience: str, client: tuple[str, str] | None = None) -> None:
        self._issuer = issuer
        self._audience = audience
        self._client_id, self._client_secret = client or ("", "")
        self.takes_people = client is not None
        self._found: dict[str, Any] = {}
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
        return await self._aside(partial(self._verified, token, self._audience))

    async def address_of_sign_in(self, redirect_uri: str, state: str, nonce: str, challenge: str) -> str:
        """Where a person signs in at the issuer (OpenID Connect Core 1.0, 3.1.2.1; with PKCE, RFC 7636). Raises
        InvalidToken where the issuer cannot be asked."""
        found = await self._aside(self._discovered)
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid email",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{found['authorization_endpoint']}?{urlencode(asked)}"

    async def redeemed(self, code: str, redirect_uri: str, nonce: str, verifier: str) -> VerifiedPerson:
        """The person who signed in at the issuer, by the code that came back (OpenID Connect Core 1.0, 3.1.3). Raises
        InvalidToken for a code that the issuer does not honour, and as `verified`."""
        return await self._aside(partial(self._redeemed, code, redirect_uri, nonce, verifier))

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _redeemed(self, code: str, redirect_uri: str, nonce: str, verifier: str) -> VerifiedPerson:
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "code_verifier": verifier,
        }
        try:
            address = str(self._discovered()["token_endpoint"])
            with urlopen(address, urlencode(sent).encode(), timeout=_DISCOVERY_SECONDS) as answer:  # noqa: S310 - the issuer's own
                token = json.load(answer)["id_token"]
        except (OSError, ValueError, KeyError, TypeError):
            raise InvalidToken("the issuer does not honour the code") from None
        return self._verified(token, self._client_id, nonce)

    def _verified(self, token: str, audience: str, nonce: str | None = None) -> VerifiedPerson:
        try:
            key = self._client().get_signing_key(jwt.get_unverified_header(token)["kid"])
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                issuer=self._issuer,
                audience=audience,
                leeway=_CLOCKS_DIFFER_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, KeyError, OSError, ValueError, TypeError, AttributeError):
            raise InvalidToken from None
        if nonce is not None and claims.get("nonce") != nonce:
            raise InvalidToken
        email, verified, methods = claims.get("email"), claims.get("email_verified"), claims.get("amr")
        if not isinstance(email, str) or verified is not True:
            raise InvalidToken("the issuer vouches for no verified e-mail")
        shown = set(methods) if isinstance(methods, list) and all(isinstance(m, str) for m in methods) else set()
        kinds = sum(bool(shown & kind) for kind in (_KNOWN, _HELD, _OWN))
        return VerifiedPerson(email.strip().lower(), _SEVERAL in shown or kinds > 1, float(claims["exp"]))

    def _client(self) -> jwt.PyJWKClient:
        if self._keys is None:
            self._keys = jwt.PyJWKClient(self._discovered()["jwks_uri"], timeout=_DISCOVERY_SECONDS)
        return self._keys

    def _discovered(self) -> dict[str, Any]:
        """The discovery document. Raises InvalidToken where it cannot be had, or is of another issuer."""
        if not self._found:
            address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
            try:
                with urlopen(address, timeout=_DISCOVERY_SECONDS) as answer:  # noqa: S310 - the operator's own setting
                    found = json.load(answer)
            except (OSError, ValueError):
                raise InvalidToken("the issuer cannot be asked") from None
            if found.get("issuer") != self._issuer:
                raise InvalidToken("the discovery document is of another issuer")
            self._found = found
        return self._found
