"""Makes senders for AWS's services, configured like a botocore session; one for each endpoint, which shares its connections."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from backstream.ports import Clock
from backstream.transport import chain
from backstream.transport.curl import Curl
from backstream.transport.messages import Endpoint
from backstream.transport.retrying import Policy, RetryingSender

if TYPE_CHECKING:  # stubs, and types that botocore does not export: not there at run time
    from botocore.client import BaseClient
    from botocore.session import Session
    from mypy_boto3_s3 import S3Client


class Connections:
    """Makes senders for one botocore session.

    `answer_within`: the seconds of a single attempt, without another one: the caller knows how much time there is.
    """

    def __init__(self, session: Session, clock: Clock, *, answer_within: float | None = None) -> None:
        self._session = session
        self._clock = clock
        self._answer_within = answer_within
        self._credentials = chain.SessionCredentials(session, clock)
        self._senders: dict[Endpoint, RetryingSender] = {}
        self._lock = threading.Lock()

    def to_service(self, client: BaseClient, *, once: bool = False) -> RetryingSender:
        """Returns the sender for a botocore client's service: `dynamodb` or `dynamodbstreams`.

        `once`: it does not wait to retry.
        """
        patient = self._to(chain.service_endpoint(client), lambda _: None)
        return patient.hasty() if once else patient

    def to_bucket(self, bucket: str, clients: Callable[[str | None], S3Client]) -> RetryingSender | None:
        """Returns the sender for a bucket; None if this transport cannot reach it, see `chain.bucket_endpoint`.

        `clients`: makes botocore's client for a region, or for the session's. Raises botocore's errors if there are no credentials.
        """
        endpoint = chain.bucket_endpoint(clients(None), bucket)
        if endpoint is None:
            return None
        return self._to(endpoint, lambda region: chain.bucket_endpoint(clients(region), bucket))

    def _to(self, endpoint: Endpoint, elsewhere: Callable[[str], Endpoint | None]) -> RetryingSender:
        with self._lock:
            sender = self._senders.get(endpoint)
            if sender is None:
                wire = chain.wire(self._session, endpoint, answer_within=self._answer_within)
                curl = Curl(endpoint, wire, self._credentials, self._clock)
                policy = Policy() if self._answer_within is None else Policy(attempts=1)
                sender = self._senders[endpoint] = RetryingSender(curl, self._clock, policy, elsewhere=elsewhere)
            return sender
