"""The real stores and tables of the tests' servers, by either transport."""

from __future__ import annotations

import botocore.session
from botocore.client import BaseClient
from botocore.config import Config

from backstream.clock import SystemClock
from backstream.model.values.object_limits import Limit, unlimited
from backstream.ports import Clock
from backstream.stores.s3.api import S3Api
from backstream.stores.s3.boto import BotoApi, client_config
from backstream.stores.s3.http import over_http
from backstream.stores.s3.store import S3Store
from backstream.tables import raw_http
from backstream.tables.raw import RawApi
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.raw_http import HttpRaw
from backstream.transport.lines import Connections
from kit.aws import Aws

TRANSPORTS = ("boto3", "curl")
CLOCK = SystemClock()
HASTE_OF_S3, HASTE_OF_DYNAMODB = 5.0, 1.0  # seconds


def once(within: float) -> Config:
    """One attempt, and so many seconds for it."""
    return Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=1, read_timeout=within)


def lines_of(aws: Aws, *, within: float | None = None, clock: Clock = CLOCK) -> Connections:
    """Lines with these servers' credentials."""
    session = botocore.session.Session()
    environment = aws.environment
    if "AWS_ACCESS_KEY_ID" in environment:
        key, secret = environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
        session.set_credentials(key, secret, environment.get("AWS_SESSION_TOKEN"))
    return Connections(session, clock, answer_within=within)


def s3_api(
    aws: Aws,
    bucket: str,
    transport: str = "boto3",
    *,
    url: str | None = None,
    hasty: bool = False,
    within: float = HASTE_OF_S3,
    limit: Limit = unlimited,
) -> S3Api:
    """A bucket's requests. `hasty`: one attempt, of `within` seconds; `limit`: how large objects may be."""
    client = aws.client("s3", url=url, config=client_config().merge(once(within)) if hasty else client_config())
    control = BotoApi(client, bucket, limit)
    if transport == "boto3":
        return control
    return over_http(control, lambda: lines_of(aws, within=within if hasty else None).to_bucket(bucket, lambda _: client))


def s3_store(
    aws: Aws,
    bucket: str,
    prefix: str = "",
    transport: str = "boto3",
    *,
    url: str | None = None,
    hasty: bool = False,
    within: float = HASTE_OF_S3,
) -> S3Store:
    """A store in a bucket. `hasty`, `within`: see `s3.api`."""
    return S3Store(s3_api(aws, bucket, transport, url=url, hasty=hasty, within=within), prefix, CLOCK)


def dynamodb(aws: Aws, transport: str = "boto3", *, url: str | None = None, hasty: bool = False) -> RawApi:
    """DynamoDB's requests."""
    client = aws.client("dynamodb", url=url, config=_table_config(hasty=hasty))
    return BotoRaw(client) if transport == "boto3" else _over_http(aws, client, raw_http.DYNAMODB, hasty=hasty)


def streams(aws: Aws, transport: str = "boto3", *, url: str | None = None, hasty: bool = False) -> RawApi:
    """Its streams' requests."""
    client = aws.client("dynamodbstreams", url=url, config=_table_config(hasty=hasty))
    return BotoRaw(client) if transport == "boto3" else _over_http(aws, client, raw_http.STREAMS, hasty=hasty)


def kinesis(aws: Aws, transport: str = "boto3", *, url: str | None = None) -> RawApi:
    """Kinesis' requests."""
    client = aws.client("kinesis", url=url, config=_table_config(hasty=False))
    return BotoRaw(client) if transport == "boto3" else _over_http(aws, client, raw_http.KINESIS, hasty=False)


def _table_config(*, hasty: bool) -> Config:
    return recommended_config().merge(once(HASTE_OF_DYNAMODB)) if hasty else recommended_config()


def _over_http(aws: Aws, client: BaseClient, target: str, *, hasty: bool) -> RawApi:
    return HttpRaw(lines_of(aws, within=HASTE_OF_DYNAMODB if hasty else None).to_service(client), target)
