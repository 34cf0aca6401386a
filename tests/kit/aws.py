"""The AWS servers that the tests run against: embedded ones, or any named by the environment's AWS_ENDPOINT_URL variables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

import botocore.session
from botocore.config import Config

from backstream.apps.embedded import EmbeddedServers

if TYPE_CHECKING:  # type stubs only: the packages are not there at run time
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_DYNAMODB")


@dataclass(frozen=True)
class Aws:
    """Endpoints and credentials, as environment variables that a child process can be given too."""

    environment: Mapping[str, str]
    _session: botocore.session.Session = field(default_factory=botocore.session.Session, repr=False)
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def url(self) -> str:
        """S3's endpoint, and with the embedded servers everybody's."""
        return self.endpoint("s3")

    def endpoint(self, service: str) -> str:
        """Where `service` answers."""
        return self.environment.get(f"AWS_ENDPOINT_URL_{service.upper()}") or self.environment["AWS_ENDPOINT_URL"]

    @overload
    def client(self, service: Literal["s3"], *, url: str | None = None, config: Config | None = None) -> S3Client: ...
    @overload
    def client(self, service: Literal["dynamodb"], *, url: str | None = None, config: Config | None = None) -> DynamoDBClient: ...
    @overload
    def client(
        self, service: Literal["dynamodbstreams"], *, url: str | None = None, config: Config | None = None
    ) -> DynamoDBStreamsClient: ...
    @overload
    def client(self, service: Literal["iam"], *, url: str | None = None, config: Config | None = None) -> IAMClient: ...
    @overload
    def client(self, service: Literal["lambda"], *, url: str | None = None, config: Config | None = None) -> LambdaClient: ...
    @overload
    def client(self, service: Literal["kinesis"], *, url: str | None = None, config: Config | None = None) -> KinesisClient: ...
    @overload
    def client(
        self, service: Literal["scheduler"], *, url: str | None = None, config: Config | None = None
    ) -> EventBridgeSchedulerClient: ...
    @overload
    def client(
        self, service: Literal["cloudformation"], *, url: str | None = None, config: Config | None = None
    ) -> CloudFormationClient: ...
    @overload
    def client(
        self, service: Literal["cloudwatch"], *, url: str | None = None, config: Config | None = None
    ) -> CloudWatchClient: ...
    @overload
    def client(self, service: Literal["application-autoscaling"], *, url: str, config: Config | None = None) -> Any: ...

    def client(self, service: str, *, url: str | None = None, config: Config | None = None) -> Any:
        """A botocore client; one for all who ask for the service and no more. `url` puts something in between: a `FaultProxy`."""
        if url is not None or config is not None:
            return self._new(service, url, config)
        if service not in self._clients:
            self._clients[service] = self._new(service, None, None)
        return self._clients[service]

    def _new(self, service: str, url: str | None, config: Config | None) -> Any:
        return self._session.create_client(
            service,
            region_name=self.environment.get("AWS_REGION") or self.environment["AWS_DEFAULT_REGION"],
            endpoint_url=url or self.endpoint(service),
            aws_access_key_id=self.environment.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=self.environment.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=self.environment.get("AWS_SESSION_TOKEN"),
            config=config,
        )


def aws_of_environment() -> Aws | None:
    """The servers that the environment names, or None."""
    if not any(os.environ.get(variable) for variable in ENDPOINT_VARIABLES):
        return None
    named = {key: value for key, value in os.environ.items() if key.startswith("AWS_")}
    return Aws({"AWS_DEFAULT_REGION": "us-east-1", **named})


@contextmanager
def serving() -> Iterator[Aws]:
    """The servers that the environment names, or embedded ones of its own, which end with the block."""
    if named := aws_of_environment():
        yield named
        return
    with EmbeddedServers() as servers:
        yield Aws(servers.environment())
