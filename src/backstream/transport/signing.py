"""AWS's Signature Version 4. The signing key of a day is computed once; a signature is then one HMAC and two digests.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from time import gmtime, strftime

from backstream.transport.messages import Credentials, Endpoint, HttpRequest

ALGORITHM = "AWS4-HMAC-SHA256"
_EMPTY = sha256(b"").hexdigest()


class Signer:
    """Signs requests for one endpoint. Safe to call from many threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._host, self._path = endpoint.host, endpoint.path
        self._of_s3 = endpoint.service == "s3"
        self._key: tuple[tuple[str, str], bytes] = (("", ""), b"")
        self._second: tuple[int, str, str] = (-1, "", "")

    def headers(self, request: HttpRequest, credentials: Credentials, now: float) -> dict[str, str]:
        """Returns all headers of the signed request except Host. `now`: epoch seconds."""
        stamp, scope = self._stamp_and_scope(int(now))
        digest = sha256(request.body).hexdigest() if request.body else _EMPTY
        headers = {**request.headers, "x-amz-date": stamp}
        if self._of_s3:
            headers["x-amz-content-sha256"] = digest
        if credentials.token is not None:
            headers["x-amz-security-token"] = credentials.token
        headers["host"] = self._host
        names_in_order = sorted(headers)
        values = [headers[name] for name in names_in_order]
        if not _is_folded("\n".join(values)):
            values = list(map(_folded, values))
        lines = "".join([f"{name}:{value}\n" for name, value in zip(names_in_order, values, strict=True)])
        names = ";".join(names_in_order)
        del headers["host"]
        canonical = f"{request.method}\n{self._path}{request.path}\n{request.query}\n{lines}\n{names}\n{digest}"
        text = f"{ALGORITHM}\n{stamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key_of(stamp[:8], credentials.secret_key), text.encode(), "sha256").hex()
        headers["authorization"] = (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return headers

    def _stamp_and_scope(self, second: int) -> tuple[str, str]:
        """Returns the time and the scope that signatures of this second name, computed once for all of them."""
        known, stamp, scope = self._second
        if known != second:
            stamp = strftime("%Y%m%dT%H%M%SZ", gmtime(second))
            scope = f"{stamp[:8]}/{self._endpoint.region}/{self._endpoint.service}/aws4_request"
            self._second = second, stamp, scope
        return stamp, scope

    def _key_of(self, day: str, secret: str) -> bytes:
        known, key = self._key
        if known != (day, secret):
            key = f"AWS4{secret}".encode()
            for part in (day, self._endpoint.region, self._endpoint.service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = (day, secret), key
        return key


def _is_folded(values: str) -> bool:
    """True if none of these values, one a line, has to be folded."""
    return not ("  " in values or "\t" in values or "\n " in values or " \n" in values or values[:1] == " " or values[-1:] == " ")


def _folded(value: str) -> str:
    """Returns a header's value as it is signed: no spaces around it, single ones within."""
    return " ".join(value.split()) if "  " in value or value.strip() != value or "\t" in value else value
