"""Network addresses, as far as they stand for who is calling."""

from ipaddress import ip_address, ip_network

_IPV6_NETWORK_BITS = 64


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
