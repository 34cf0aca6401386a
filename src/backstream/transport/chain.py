"""Credentials, region, endpoint, proxy and certificates: always botocore's own, so that nothing is configured twice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from botocore.exceptions import NoCredentialsError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from backstream.ports import Clock
from backstream.transport.curl import Wire
from backstream.transport.messages import Credentials, Endpoint

if TYPE_CHECKING:  # stubs, and types that botocore does not export: not there at run time
    from botocore.client import BaseClient
    from botocore.session import Session
    from mypy_boto3_s3 import S3Client

FRESH_SECONDS = 1.0


class SessionCredentials:
    """A session's credentials, renewed by botocore when they are about to expire; read again every second, which is cheap.

    Calling it raises what botocore raises: NoCredentialsError, CredentialRetrievalError, ...
    """

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._lock = threading.Lock()
        self._read: tuple[float, Credentials] | None = None

    def __call__(self) -> Credentials:
        """The credentials now."""
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
    """How botocore would reach that endpoint: through which proxy, and whose certificates it would believe."""
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
    """Where a botocore client for DynamoDB or its streams sends its requests."""
    return Endpoint(client.meta.endpoint_url.rstrip("/"), client.meta.region_name, client.meta.service_model.signing_name)


def bucket_endpoint(client: S3Client, bucket: str) -> Endpoint | None:
    """Where botocore's requests for a bucket's objects go, by name or by path as it chooses, and for which region they are signed.

    None where that takes what we do not do: an access point of another service, S3 Express, a signature for many regions.
    `client`: made for Signature Version 4. Raises what botocore raises.
    """
    url = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}))
    words = parse_qs(url.query)
    scope = words.get("X-Amz-Credential", [""])[0].split("/")
    if words.get("X-Amz-Algorithm") != ["AWS4-HMAC-SHA256"] or len(scope) < 5 or scope[-2] != "s3" or bucket.endswith("--x-s3"):
        return None
    return Endpoint(f"{url.scheme}://{url.netloc}{url.path.removesuffix('/k')}", scope[-3], "s3")
