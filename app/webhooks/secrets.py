"""The secrets of webhooks, and the signatures made with them (Standard Webhooks 1.0)."""

import base64
import secrets
from datetime import datetime

from standardwebhooks.webhooks import Webhook as Signer

from app.api.encryption import Cipher
from app.storage import Transaction, key_id, keys_for
from app.webhooks.models import Webhook

_PURPOSE = "webhooks"
_BYTES = 24


def give(db: Transaction, webhook: Webhook, previous_until: datetime | None) -> str:
    """Gives a webhook a new secret, and returns it. The one before signs too until `previous_until`."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(_BYTES)).decode()
    webhook.previous_secret, webhook.previous_until = (
        (webhook.secret, previous_until) if previous_until is not None else (None, None)
    )
    reseal(db, webhook)
    webhook.secret = Cipher(keys_for(db, _PURPOSE)).encrypt(secret)
    return secret


def reseal(db: Transaction, webhook: Webhook) -> None:
    """Encrypts the secrets of a webhook under the service's secret of now."""
    cipher = Cipher(keys_for(db, _PURPOSE))
    webhook.secret = cipher.encrypt(cipher.decrypt(webhook.secret)) if webhook.secret else ""
    if webhook.previous_secret is not None:
        webhook.previous_secret = cipher.encrypt(cipher.decrypt(webhook.previous_secret))
    webhook.key_id = key_id(db)
    db.add(webhook)


def held(db: Transaction, webhook: Webhook, now: datetime) -> list[str]:
    """The secrets that sign now, the newest first."""
    cipher = Cipher(keys_for(db, _PURPOSE))
    sealed = [webhook.secret]
    if webhook.previous_secret is not None and webhook.previous_until is not None and webhook.previous_until > now:
        sealed.append(webhook.previous_secret)
    return [str(cipher.decrypt(one)) for one in sealed]


def headers(held_secrets: list[str], message_id: str, now: datetime, body: str) -> dict[str, str]:
    """The headers of a signed message. `now` is in UTC: the library takes it for that, whatever its zone."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Signer(secret).sign(message_id, now, body) for secret in held_secrets),
    }
