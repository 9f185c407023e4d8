"""Slows down guessing: counts attempts to log in or prove something, by account and by address.

An attempt is counted before it is checked, so that many concurrent attempts cannot get past the limit, and the count is
taken back when it succeeds. The limit for an account from one address is lower than the limit for the account from all
addresses, so that a stranger cannot easily lock the owner out.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from math import ceil

from app.access import store
from app.addresses import network_of
from app.storage import Transaction, key_for

_WINDOW = timedelta(minutes=15)
_PAIR = "account and address"
_MOST = {_PAIR: 5, "account": 30, "address": 100}


def take(db: Transaction, account: str, address: str, now: datetime) -> int | None:
    """Counts one attempt; returns the seconds to wait after too many, or None. `account` may be empty."""
    counts = store.count_attempts(db, list(_keys(db, account, address).values()), now, now - _WINDOW)
    waits = [
        ceil((counts[key].started_at + _WINDOW - now).total_seconds())
        for kind, key in _keys(db, account, address).items()
        if counts[key].count > _MOST[kind]
    ]
    return max(1, *waits) if waits else None


def give_back(db: Transaction, account: str, address: str) -> None:
    """Subtracts one attempt that must not count."""
    store.give_back_attempts(db, list(_keys(db, account, address).values()))


def forgive(db: Transaction, account: str, address: str) -> None:
    """Takes back an attempt that succeeded, and forgets earlier ones from this address on this account."""
    give_back(db, account, address)
    store.forgive_attempts(db, [key for kind, key in _keys(db, account, address).items() if kind == _PAIR])


def purge(db: Transaction, now: datetime) -> None:
    """Deletes counts whose window is over."""
    store.purge_attempts(db, now - _WINDOW)


def _keys(db: Transaction, account: str, address: str) -> Mapping[str, str]:
    network = network_of(address)
    named = {"address": network}
    if account:
        named |= {"account": account, _PAIR: f"{account} {network}"}
    key = key_for(db, "throttles")
    return {kind: hmac.digest(key, f"{kind}:{value}".encode(), "sha256").hex() for kind, value in named.items()}
