"""Finds credentials, region, endpoint, proxy and certificates: always botocore's own, so that nothing is configured twice."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.exceptions import NoCredentialsError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from backstream.ports import Clock
from backstream.transport.curl import Wire
from backstream.transport.messages import Credentials, Endpoint

if TYPE_CHECKING:  # stubs, and types that botocore does not export: not there at run time
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.client import BaseClient
    from botocore.session import Session
    from mypy_boto3_s3 import S3Client

FRESH_SECONDS = 1.0
EXPRESS = "--x-s3"  # how the name of a directory bucket ends: its requests are signed with a session of its own
PROBE = "where-backstream-would-write"
SCOPE = re.compile("AWS4-HMAC-SHA256 Credential=[^/]+/[0-9]+/([^/,]+)/s3/aws4_request")


class SessionCredentials:
    """A session's credentials. botocore renews them when they are about to expire; they are read again every second, which is
    cheap.

    Calling it raises botocore's errors: NoCredentialsError, CredentialRetrievalError, ...
    """

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._lock = threading.Lock()
        self._read: tuple[float, Credentials] | None = None

    def __call__(self) -> Credentials:
        """Returns the credentials now."""
        now, read = self._clock.now(), self._read
        if read is not None and 0 <= now - read[0] < FRESH_SECONDS:
            return read[1]
        with self._lock:
            found = self._session.get_credentials()
            if found is None:
                raise NoCredentialsError
            frozen = found.get_frozen_credentials()
            if not frozen.access_key or not frozen.secret_key:
                raise NoCredentialsError
            credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token or None)
            self._read = now, credentials
            return credentials


def wire(session: Session, endpoint: Endpoint, *, answer_within: float | None = None) -> Wire:
    """Returns botocore's way to reach that endpoint: the proxy, and the trusted certificates."""
    scheme = urlsplit(endpoint.base).scheme
    proxies = get_environ_proxies(endpoint.base)
    bundle = session.get_config_variable("ca_bundle")
    return Wire(
        trusted=get_cert_path(bundle or True),
        proxy=proxies.get(scheme) or proxies.get("all"),
        connect_within=answer_within or 5.0,
        silence=answer_within or 30.0,
        answer_within=answer_within,
    )


def service_endpoint(client: BaseClient) -> Endpoint:
    """Returns the endpoint to which a botocore client for DynamoDB or its streams sends its requests."""
    return Endpoint(client.meta.endpoint_url.rstrip("/"), client.meta.region_name, client.meta.service_model.signing_name)


def bucket_endpoint(client: S3Client, bucket: str) -> Endpoint | None:
    """Returns the endpoint of botocore's requests for a bucket's objects, by name or by path as it chooses, with their signing
    region.

    Returns None if that needs something that this transport does not do: S3 Express, an access point of another service, a
    signature for many regions. It reads a request that botocore prepares and that is never sent. A presigned URL would show the
    global endpoint even if requests go to the region's. `client`: made for Signature Version 4. Raises botocore's errors.
    """
    if bucket.endswith(EXPRESS):
        return None

    def stop(request: AWSPreparedRequest, **_: object) -> None:
        if request.url.endswith(f"/{PROBE}"):  # not another thread's
            raise _Ready(request.url, _text(request.headers.get("Authorization", "")))

    client.meta.events.register("before-send.s3.HeadObject", stop, unique_id=PROBE)
    try:
        client.head_object(Bucket=bucket, Key=PROBE)
        raise AssertionError("botocore sent a request without its event before-send")
    except _Ready as ready:
        whole, scope = ready.url, SCOPE.match(ready.authorization)
    finally:
        client.meta.events.unregister("before-send.s3.HeadObject", stop, unique_id=PROBE)
    if scope is None:
        return None
    url = urlsplit(whole)
    return Endpoint(f"{url.scheme}://{url.netloc}{url.path.removesuffix(f'/{PROBE}')}", scope[1], "s3")


class _Ready(Exception):
    """A request as botocore would have sent it."""

    def __init__(self, url: str, authorization: str) -> None:
        super().__init__(url)
        self.url = url
        self.authorization = authorization


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
