"""Network addresses, as far as they stand for who is calling."""

from collections.abc import Collection
from ipaddress import ip_address, ip_network

_IPV6_NETWORK_BITS = 64


def is_among(address: str, networks: Collection[str]) -> bool:
    """Whether an address is one of these addresses or in one of these networks (`10.0.0.0/8`); `*` is any."""
    if "*" in networks or address in networks:
        return True
    for network in networks:
        try:
            if ip_address(address) in ip_network(network, strict=False):
                return True
        except ValueError:  # a name, or no address at all
            continue
    return False


def network_of(address: str) -> str:
    """What stands for one customer of a network: an IPv4 address, or the /64 of an IPv6 address, since that much is
    given to one customer. Source: RFC 6177; RFC 4291, 2.5.4."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    mapped = getattr(found, "ipv4_mapped", None)
    if found.version == 4 or mapped is not None:
        return str(mapped or found)
    return str(ip_network((found, _IPV6_NETWORK_BITS), strict=False))
