"""The cookies that hold a browser's sign-in: the tokens of a person, or those of a patient's device.

Scripts cannot read them (HttpOnly), other sites' requests do not carry them (SameSite=Lax), and over https no other
host can set them (`__Host-`: RFC 6265bis, 4.1.3.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http.cookies import SimpleCookie

from app.access.tokens import ACCESS_TOKEN_SECONDS, BROWSER_LASTS, Tokens


@dataclass(frozen=True, slots=True)
class Jar:
    """The cookies of one kind of caller: what their names begin with, and how long the browser keeps them."""

    name: str
    lasts: timedelta


PERSON = Jar("holdfast", BROWSER_LASTS)
DEVICE = Jar("holdfast-check-in", timedelta(days=400))


def access_token(found: Mapping[str, str], public_url: str, jar: Jar) -> str | None:
    """The access token in a request's cookies; None where there is none."""
    return found.get(_name(jar, "access", public_url))


def refresh_token(found: Mapping[str, str], public_url: str, jar: Jar) -> str | None:
    """The refresh token in a request's cookies; None where there is none."""
    return found.get(_name(jar, "refresh", public_url))


def holding(granted: Tokens, public_url: str, jar: Jar) -> list[str]:
    """The values of the `Set-Cookie` headers that keep these tokens."""
    assert granted.refresh_token is not None  # people and devices get one
    return [
        _cookie(jar, "access", granted.access_token, timedelta(seconds=ACCESS_TOKEN_SECONDS), public_url),
        _cookie(jar, "refresh", granted.refresh_token, jar.lasts, public_url),
    ]


def forgetting(public_url: str, jar: Jar) -> list[str]:
    """The values of the `Set-Cookie` headers that end a browser's sign-in."""
    return [_cookie(jar, part, "", timedelta(), public_url) for part in ("access", "refresh")]


def _cookie(jar: Jar, part: str, value: str, lasts: timedelta, public_url: str) -> str:
    name = _name(jar, part, public_url)
    cookie: SimpleCookie = SimpleCookie({name: value})
    cookie[name]["path"], cookie[name]["samesite"] = "/", "Lax"
    cookie[name]["max-age"] = str(int(lasts.total_seconds()))
    cookie[name]["httponly"] = True
    if _is_https(public_url):
        cookie[name]["secure"] = True
    return cookie[name].OutputString()


def _name(jar: Jar, part: str, public_url: str) -> str:
    return f"{'__Host-' if _is_https(public_url) else ''}{jar.name}-{part}"


def _is_https(public_url: str) -> bool:
    return public_url.startswith("https:")
