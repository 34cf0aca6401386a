"""Tells whether requests to a URL can be read on their way. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_exposed(url: str) -> bool:
    """True if a URL is plain http to a machine other than this one.

    This machine is `localhost`, names below it (RFC 6761), 127.0.0.0/8 and ::1.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
    except ValueError:
        return False  # no URL that anybody could ask
    if parts.scheme.lower() != "http":
        return False
    return not (host == "localhost" or host.endswith(".localhost") or _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)
