"""Where webhooks and reminders may go: https, to public addresses. The operator may allow hosts by name, also inside,
also over http.

The name is resolved once, at each delivery, and the connection goes to the address that was checked: a name that means
another address a moment later (DNS rebinding) gains nothing.
"""

import ipaddress
from collections.abc import Collection, Sequence
from urllib.parse import SplitResult, urlsplit

_NO_ADDRESS = "must be an address, as in https://ehr.example.org/holdfast"
# Networks through which an address inside could be reached by one that looks public.
_TRANSLATED = [ipaddress.ip_network(name) for name in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]


def why_not(url: str, allowed: Collection[str]) -> str | None:
    """Why an address cannot be that of a receiver; None where it can."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        _ = (host or "").encode("idna")  # a name that no resolver takes is none
    except ValueError:
        return _NO_ADDRESS
    if not host or port == 0 or any(character <= " " for character in url):
        return _NO_ADDRESS
    if parts.scheme != "https" and not (parts.scheme == "http" and host in allowed):
        return "must begin with https://"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "must have no name, password or fragment"
    if host not in allowed and is_literal(host) and not is_public(host):
        return "must not be an address inside a network"
    return None


def is_literal(host: str) -> bool:
    """Whether a host is an address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Whether an address is on the public Internet, however it is written."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if any(found in network for network in _TRANSLATED):
            return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def chosen(parts: SplitResult, found: Sequence[str], allowed: Collection[str]) -> str | None:
    """The address to connect to, of those that a name stands for; None where one of them is not allowed."""
    if not found or (parts.hostname not in allowed and not all(map(is_public, found))):
        return None
    return found[0]
