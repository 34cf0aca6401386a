"""botocore's clients of one process, by botocore's own chain of credentials, regions and endpoints."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, cast

import botocore.session
from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, NoRegionError

from backstream.apps.aws import plain_http
from backstream.apps.aws.locations import TablePlace, is_aws
from backstream.errors import Failed
from backstream.stores.s3 import boto
from backstream.tables import raw_boto
from backstream.tables.settings import autoscaling_config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECTIONS = 64
CHECK = "Check AWS_PROFILE and AWS_ENDPOINT_URL*."
HASTE = 5.0  # seconds
BESIDE = ("application-autoscaling", "sts", "lambda", "cloudwatch")  # asked now and then, beside tables and buckets


class Clients:
    """Clients, each made at the first request. `answer_within`: the seconds in which S3 must answer, None for botocore's own."""

    def __init__(self, place: TablePlace, answer_within: float | None) -> None:
        self._place = place
        self._answer_within = answer_within

    @cached_property
    def session(self) -> botocore.session.Session:
        session = botocore.session.Session(profile=self._place.profile)
        if region := self._place.region or self._region_of(session) or os.environ.get("AWS_REGION"):
            # Lambda and every other SDK know this variable; botocore knows only AWS_DEFAULT_REGION.
            session.set_config_variable("region", region)
        return session

    def _region_of(self, session: botocore.session.Session) -> str | None:
        """Returns the region of the named profile."""
        if self._place.profile is None:
            return None
        try:
            return cast("str | None", session.get_scoped_config().get("region"))
        except BotoCoreError as error:
            raise Failed(f"the AWS profile {self._place.profile} cannot be used: {error}", hint=CHECK) from error

    @cached_property
    def s3(self) -> S3Client:
        return cast("S3Client", self.of("s3"))

    @cached_property
    def s3_hasty(self) -> S3Client:
        """A client for many questions that are not vital: one without an answer is not asked again and again."""
        return cast("S3Client", self.of("s3", quick=True))

    def s3_in(self, region: str | None) -> S3Client:
        return self.s3 if region is None else cast("S3Client", self.of("s3", region))

    @cached_property
    def dynamodb(self) -> BaseClient:
        return self.of("dynamodb")

    @cached_property
    def dynamodb_once(self) -> BaseClient:
        return self.of("dynamodb", attempts=1)

    @cached_property
    def streams(self) -> BaseClient:
        return self.of("dynamodbstreams")

    @cached_property
    def autoscaling(self) -> BaseClient:
        """Returns the Auto Scaling client.

        Raises Failed if DynamoDB is a custom server, because its keys and table names are not for AWS.
        """
        return self.beside("application-autoscaling", "Application Auto Scaling", "APPLICATION_AUTO_SCALING")

    def beside(self, service: str, name: str, variable: str) -> BaseClient:
        client = self.of(service)
        if is_aws(client.meta.endpoint_url) and not is_aws(self.dynamodb.meta.endpoint_url):
            raise Failed(
                f"not asked for: DynamoDB's endpoint is not AWS's, and {name}'s is not set",
                hint=f"Set AWS_ENDPOINT_URL_{variable}.",
            )
        return client

    def of(self, service: str, region: str | None = None, *, attempts: int = raw_boto.ATTEMPTS, quick: bool = False) -> BaseClient:
        if service == "s3":
            within = HASTE if quick else self._answer_within
            config = boto.client_config(connections=CONNECTIONS, answer_within=within)
        elif service in BESIDE:
            config = autoscaling_config()
        else:
            config = raw_boto.recommended_config(CONNECTIONS, attempts)
        try:
            endpoint = self._place.endpoint if service in ("dynamodb", "dynamodbstreams") else None
            client = self.session.create_client(service, region, endpoint_url=endpoint, config=config)
        except NoRegionError as error:
            raise Failed("no AWS region is set", hint="Set AWS_REGION, or choose a profile with one (AWS_PROFILE).") from error
        except (BotoCoreError, ValueError) as error:
            raise Failed(f"the AWS configuration cannot be used: {error}", hint=CHECK) from error
        plain_http.report(client.meta.endpoint_url)
        return client
