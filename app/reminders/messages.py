"""Messages to a browser's push service: Web Push (RFC 8030), encrypted (RFC 8291), and signed by the clinic (RFC 8292).

What they say is the declarative form (Push API, "declarative push message"): a browser that knows it shows the
notification itself; others give it to the page's service worker, which shows the same.
"""

import json
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import http_ece
import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from app.reminders.keys import Destination

# What marks the declarative form.
_DECLARATIVE = 8030
_SIGNED_FOR = timedelta(hours=12)
# Of several that wait for a phone which is off, the push service keeps the last.
_TOPIC = "check-in"


def content(title: str, language: str, address: str) -> bytes:
    """The notification. It says neither what is asked nor by whom: phones show it while they are locked."""
    notification = {"title": title, "lang": language, "dir": "auto", "navigate": address, "tag": _TOPIC}
    return json.dumps({"web_push": _DECLARATIVE, "notification": notification}, separators=(",", ":")).encode()


def encrypted(plain: bytes, to: Destination) -> bytes:
    """A message that only the phone can read."""
    found: bytes = http_ece.encrypt(
        plain,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=to.public_key,
        auth_secret=to.secret,
        version="aes128gcm",
    )
    return found


def headers(
    endpoint: str, private_key: ec.EllipticCurvePrivateKey, public_key: str, contact: str, ttl: timedelta, now: datetime
) -> dict[str, str]:
    """The headers of a message. `ttl`: how long the push service keeps it for a phone that is off. `contact`: an
    address of whoever runs the service, for that of the push service."""
    parts = urlsplit(endpoint)
    claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": now + _SIGNED_FOR}
    if contact.startswith("https:"):  # RFC 8292, 2.1; who runs it without https has no push service to answer to
        claims["sub"] = contact
    token = jwt.encode(claims, private_key, algorithm="ES256")
    return {
        "Authorization": f"vapid t={token}, k={public_key}",
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/notification+json",
        "TTL": str(int(ttl.total_seconds())),
        "Topic": _TOPIC,
        "Urgency": "normal",
    }
