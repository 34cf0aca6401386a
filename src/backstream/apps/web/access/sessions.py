"""Identifies visitors: by the token of the printed URL, by a proxy's header, or by name and password. No session is stored."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from backstream import private_files
from backstream.errors import Refused, UsageError

_BYTES = 32
_OTHERS = 0o077


class Visitor(msgspec.Struct, frozen=True):
    """A visitor who was let in. `name`: from the proxy or the password; `session`: the source of the CSRF token."""

    session: str
    name: str = ""


class Doorkeeper(Protocol):
    """Decides who is let in."""

    @property
    def challenge(self) -> str:
        """Returns the `WWW-Authenticate` of a refusal; empty for none."""

    @property
    def way_in(self) -> str:
        """Returns what a visitor who is not known can do."""

    def visitor(self, headers: Mapping[str, str], cookies: Mapping[str, str], peer: str) -> Visitor | None:
        """Returns the visitor; None if they are not let in. `peer`: the address that the connection comes from."""


class Secrets:
    """The secrets of this process: `token` lets a visitor in, the rest is made from `key`."""

    def __init__(self, key: bytes | None = None) -> None:
        self.key = key or secrets.token_bytes(_BYTES)
        self.token = self._made("token")

    def _made(self, *words: str) -> str:
        return hmac.new(self.key, "\0".join(words).encode(), hashlib.sha256).hexdigest()

    def new_session(self) -> str:
        """Returns the value of a new cookie."""
        name = secrets.token_urlsafe(_BYTES)
        return f"{name}.{self._made('session', name)}"

    def is_session(self, cookie: str) -> bool:
        """True if this process, or another with the same key, has issued the cookie."""
        name, _, proof = cookie.partition(".")
        return _same(proof, self._made("session", name))

    def csrf(self, visitor: Visitor) -> str:
        """Returns the token that a visitor's form must carry."""
        return self._made("csrf", visitor.session)

    def is_csrf(self, visitor: Visitor, given: str) -> bool:
        """True if a form is the visitor's."""
        return _same(given, self.csrf(visitor))

    def is_token(self, given: str) -> bool:
        """True if this is the token of the printed URL."""
        return _same(given, self.token)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode())


class ByCookie:
    """Lets in anybody who has opened the printed URL. `cookie`: its name, which differs by port, because cookies do not."""

    challenge = ""
    way_in = "Open the whole address that `backstream web` printed, with its token."

    def __init__(self, known: Secrets, cookie: str) -> None:
        self._known = known
        self._cookie = cookie

    def visitor(self, headers: Mapping[str, str], cookies: Mapping[str, str], peer: str) -> Visitor | None:  # noqa: ARG002
        """Returns the visitor with the cookie."""
        given = cookies.get(self._cookie, "")
        return Visitor(given) if given and self._known.is_session(given) else None


class ByHeader:
    """Lets in a visitor whom a proxy names in a header. The header is trusted only from the proxy's own addresses."""

    challenge = ""
    way_in = "Come through the proxy that names its users."

    def __init__(self, header: str, proxies: Sequence[str]) -> None:
        """Raises UsageError if no proxy is named, or if one is not an address."""
        if not proxies:
            raise UsageError(
                f"nothing says whose {header} is believed",
                hint="Name the proxy's address: --from-proxy 10.0.0.5. Anybody else could send the header, too.",
            )
        self._header = header.lower()
        self._proxies = [_network(each) for each in proxies]

    def visitor(self, headers: Mapping[str, str], cookies: Mapping[str, str], peer: str) -> Visitor | None:  # noqa: ARG002
        """Returns the visitor whom the proxy names."""
        name = headers.get(self._header, "")
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return None
        if not name or not any(address in each for each in self._proxies):
            return None
        return Visitor(f"header {name}", name)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"not an address: {text!r}", hint="Write 10.0.0.5, or a network as 10.0.0.0/24.") from error


class ByPassword:
    """Lets in anybody who knows a name and its password: HTTP's basic authentication, which needs TLS."""

    challenge = 'Basic realm="backstream", charset="UTF-8"'
    way_in = "Give a name and its password."

    def __init__(self, path: Path) -> None:
        """`path`: lines of `name:password`. Raises UsageError if there are none; Refused if others may read the file."""
        self._users = dict(_users(path))
        if not self._users:
            raise UsageError(f"{path} names nobody", hint="One name:password a line.")

    def visitor(self, headers: Mapping[str, str], cookies: Mapping[str, str], peer: str) -> Visitor | None:  # noqa: ARG002
        """Returns the visitor who sends a name and its password."""
        kind, _, text = headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        known = self._users.get(name)
        fits = _same(_digest(password), known or _digest(secrets.token_hex(_BYTES)))
        return Visitor(f"user {name}", name) if known is not None and fits else None


def _users(path: Path) -> list[tuple[str, str]]:
    try:
        with private_files.opened(path) as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise Refused(f"others may read the passwords in {path}", hint=f"chmod 600 {path}")
            lines = file.read().decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the passwords in {path}: {error}") from error
    split = [line.partition(":") for line in lines if line.strip() and not line.startswith("#")]
    if any(not name or not password for name, _, password in split):
        raise UsageError(f"{path} has a line that is not name:password")
    return [(name, _digest(password)) for name, _, password in split]


def _digest(password: str) -> str:
    """Returns a digest of the same length for all passwords, so that a comparison takes the same time."""
    return hashlib.sha256(password.encode()).hexdigest()
