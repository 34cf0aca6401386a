"""The messages of the transport: a request before it is signed, a reply, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

import msgspec

from backstream.errors import BackstreamError

_UNRESERVED = "-_.~"  # RFC 3986; what SigV4 leaves as it is besides letters and digits


class HttpRequest(msgspec.Struct, frozen=True):
    """One request, not yet signed. It may be sent many times, each time signed anew with the current time and credentials.

    `path`: below the endpoint's, encoded (`object_path`); `query`: encoded and in SigV4's order (`query_of`); `headers`: names in
    lower case; all of them are signed; `most`: the limit of the answer's bytes, 0 for none.
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
        """True if the request was carried out."""
        return 200 <= self.status < 300


class NoAnswer(BackstreamError):
    """There is no whole answer: the request may or may not have been carried out.

    `broken`: the answer began and broke off, or does not match its checksum; `permanent`: the next attempt would end in the same
    way, as with an untrusted certificate; `beyond`: it was larger than the request allows.
    """

    def __init__(self, message: str, *, broken: bool = False, permanent: bool = False, beyond: bool = False) -> None:
        super().__init__(message)
        self.broken = broken
        self.permanent = permanent
        self.beyond = beyond


class Credentials(msgspec.Struct, frozen=True):
    """The credentials for signing, at one moment."""

    access_key: str
    secret_key: str
    token: str | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """The destination of requests, and the region and service (`s3`, `dynamodb`) that they are signed for.

    `base`: scheme, host and port, and the path that all of its requests share; no trailing slash.
    """

    base: str
    region: str
    service: str

    @property
    def host(self) -> str:
        """The Host header: with the port, unless it is the scheme's own."""
        scheme, _, rest = self.base.partition("://")
        host = rest.partition("/")[0]
        return host.removesuffix(":443" if scheme == "https" else ":80")

    @property
    def path(self) -> str:
        """The path that all of its requests share; empty if there is none."""
        _, _, rest = self.base.partition("://")
        _, slash, path = rest.partition("/")
        return slash + path


def object_path(name: str) -> str:
    """Returns an object's key as a path: every byte of it kept, slashes unchanged, nothing normalized."""
    return "/" + quote(name, safe="/" + _UNRESERVED)


def query_of(parameters: Iterable[tuple[str, str]]) -> str:
    """Returns parameters in SigV4's form: encoded, then sorted."""
    encoded = sorted((quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in parameters)
    return "&".join(f"{name}={value}" for name, value in encoded)
