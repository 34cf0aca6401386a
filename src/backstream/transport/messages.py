"""What goes over the wire, and what comes back: a request before it is signed, a reply, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

import msgspec

from backstream.errors import BackstreamError

_UNRESERVED = "-_.~"  # RFC 3986; what SigV4 leaves as it is besides letters and digits


class HttpRequest(msgspec.Struct, frozen=True):
    """One request, not yet signed: it may be sent many times, each time with the time and the credentials of then.

    `path`: below the endpoint's, encoded (`object_path`); `query`: encoded and in SigV4's order (`query_of`); `headers`: names in
    lower case; all of them are signed; `most`: the bytes that its answer may have, 0 for any number.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    most: int = 0


class Reply(msgspec.Struct, frozen=True):
    """An answer, whatever its status. `headers`: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def fine(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300


class NoAnswer(BackstreamError):
    """There is no whole answer: what was asked for may or may not have been done.

    `broken`: the answer began and broke off, or is not what its checksum says; `hopeless`: the next attempt would end in the same
    way, as with a certificate that nobody here trusts; `beyond`: it was larger than the request allows.
    """

    def __init__(self, message: str, *, broken: bool = False, hopeless: bool = False, beyond: bool = False) -> None:
        super().__init__(message)
        self.broken = broken
        self.hopeless = hopeless
        self.beyond = beyond


class Credentials(msgspec.Struct, frozen=True):
    """What requests are signed with, at one moment."""

    access_key: str
    secret_key: str
    token: str | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """Where requests go and for which region and service (`s3`, `dynamodb`) they are signed.

    `base`: scheme, host and port, and the path that all of its requests share; no trailing slash.
    """

    base: str
    region: str
    service: str

    @property
    def host(self) -> str:
        """As in the Host header: with the port, but for the scheme's own."""
        scheme, _, rest = self.base.partition("://")
        host = rest.partition("/")[0]
        return host.removesuffix(":443" if scheme == "https" else ":80")

    @property
    def path(self) -> str:
        """The path that all of its requests share; empty where there is none."""
        _, _, rest = self.base.partition("://")
        _, slash, path = rest.partition("/")
        return slash + path


def object_path(name: str) -> str:
    """An object's key as a path: every byte of it kept, slashes as they are, nothing made shorter."""
    return "/" + quote(name, safe="/" + _UNRESERVED)


def query_of(parameters: Iterable[tuple[str, str]]) -> str:
    """Parameters as SigV4 wants them: encoded, then sorted."""
    encoded = sorted((quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in parameters)
    return "&".join(f"{name}={value}" for name, value in encoded)
