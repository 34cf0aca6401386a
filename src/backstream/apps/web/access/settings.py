"""The settings of the screens: their visitors, their rights, and the data that they never show."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

import msgspec

from backstream.apps.web.access.sessions import ByCookie, ByHeader, ByPassword, Doorkeeper, Secrets
from backstream.errors import Refused, UsageError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_AUTH = "Write --auth header:X-Forwarded-User with --from-proxy ADDRESS, or --auth basic:FILE with --tls-cert and --tls-key."


class WebSettings(msgspec.Struct, frozen=True):
    """The settings of `backstream web`. `allow_restore`: tables may be written to; `private`: no key appears in a URL.

    `hidden`: attributes that are not shown at all; `masked`: attributes whose values are not shown; `hosts`: the names, with their
    ports, by which browsers reach it; `auth`: `header:NAME` or `basic:FILE`, empty for the token of the URL; `proxies`: the
    addresses whose header is trusted; `secure`: browsers reach it over TLS.
    """

    allow_restore: bool = False
    private: bool = False
    hidden: frozenset[str] = frozenset()
    masked: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    auth: str = ""
    proxies: tuple[str, ...] = ()
    secure: bool = False

    @property
    def guarded(self) -> frozenset[str]:
        """The attributes whose values never leave the server."""
        return self.hidden | self.masked


def is_loopback(host: str) -> bool:
    """True if an address belongs only to this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_listening(host: str, settings: WebSettings, *, tls: bool) -> None:
    """Raises Refused if others could reach it without identification, or would send a password in the clear."""
    if settings.auth.startswith("basic:") and not tls:
        raise Refused("passwords would be sent in the clear", hint="Give --tls-cert and --tls-key, or put a proxy in front.")
    if not is_loopback(host) and not settings.auth:
        raise Refused(f"anybody who reaches {host} could read all items: it needs --auth", hint=f"{_AUTH} Or leave --host out.")


def hosts_of(host: str, port: int, names: Sequence[str]) -> frozenset[str]:
    """Returns the `Host` headers that are answered. `names`: names of a proxy or of DNS, with a port if it is not the usual one."""
    own = [f"{each}:{port}" for each in (*LOOPBACK, host)] if is_loopback(host) else [f"{host}:{port}"]
    usual = [each for each in LOOPBACK if port in (80, 443)]
    return frozenset(each.lower() for each in (*own, *usual, *names))


def doorkeeper_of(settings: WebSettings, known: Secrets, cookie: str) -> Doorkeeper:
    """Returns the doorkeeper. Raises UsageError if `auth` is neither a header nor a file."""
    kind, _, what = settings.auth.partition(":")
    if not settings.auth:
        return ByCookie(known, cookie)
    if kind == "header" and what:
        return ByHeader(what, settings.proxies)
    if kind == "basic" and what:
        return ByPassword(Path(what))
    raise UsageError(f"not a way to know who asks: {settings.auth!r}", hint=_AUTH)
