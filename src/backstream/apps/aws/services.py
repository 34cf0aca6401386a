"""The AWS services of one process: buckets, tables, streams and the account, by botocore's chain of credentials and endpoints.

`Config` loads this module when it first needs it: a vault in a folder, or a handler that is only imported, does not need botocore.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from backstream.apps.aws.clients import Clients
from backstream.apps.aws.locations import TablePlace, region_of
from backstream.errors import UsageError
from backstream.model import object_lock as object_locks
from backstream.model.object_lock import ObjectLock
from backstream.model.values.object_limits import Limit
from backstream.ports import (
    Account,
    BucketSettings,
    ChangeStream,
    Clock,
    Importer,
    LockTrial,
    Markers,
    ObjectStore,
    Table,
    VersionRemover,
)
from backstream.stores.s3 import boto, checksum
from backstream.stores.s3 import lock as s3_lock
from backstream.stores.s3.api import S3Api, Terms
from backstream.stores.s3.boto import BotoApi
from backstream.stores.s3.http import over_http
from backstream.stores.s3.markers import S3Markers
from backstream.stores.s3.remover import S3Remover
from backstream.stores.s3.settings import S3Settings
from backstream.tables import listing, raw_http
from backstream.tables.account import AwsAccount
from backstream.tables.dynamodb import DynamoTable
from backstream.tables.imports import DynamoImporter
from backstream.tables.kinesis import KinesisStream
from backstream.tables.raw import RawApi
from backstream.tables.raw_boto import BotoRaw
from backstream.tables.raw_http import HttpRaw
from backstream.tables.streams import DynamoStream
from backstream.vault.catalog import Catalog

if TYPE_CHECKING:
    from botocore.client import BaseClient

    from backstream.transport.lines import Connections

TRANSPORT_VARIABLE = "BACKSTREAM_TRANSPORT"


class Aws:
    """Makes each part at the first request. `place`, `answer_within`: see `Config`."""

    def __init__(self, place: TablePlace, clock: Clock, answer_within: float | None) -> None:
        self.clients = Clients(place, answer_within)
        self._clock = clock
        self._answer_within = answer_within

    # --- buckets ---

    def bucket(self, name: str, limit: Limit, terms: Terms) -> S3Api:
        """Returns a bucket's requests: over libcurl if it is installed; through botocore if that is configured, or if the bucket
        needs it.
        """
        control, lines = BotoApi(self.clients.s3, name, limit, terms), self._lines
        return control if lines is None else over_http(control, lambda: lines.to_bucket(name, self.clients.s3_in))

    def create_bucket(self, name: str, owner: str | None, lock: ObjectLock | None = None) -> str | None:
        """Creates a bucket, versioned and not public, unless it exists; with this default retention, if any."""
        s3 = self.clients.s3
        warning = boto.create_bucket(s3, name, s3.meta.region_name, owner, with_lock=lock is not None)
        if lock is not None:
            s3_lock.set_lock(s3, name, lock, owner)
        return warning

    def lock_trial(self, bucket: str, prefix: str, terms: Terms) -> LockTrial:
        """Returns a trial of a bucket's Object Lock."""
        return s3_lock.S3Lock(self.clients.s3, bucket, prefix, self._clock.now, terms)

    def compares_checksums(self, bucket: str, prefix: str, terms: Terms) -> bool:
        """Returns True if the server of a bucket refuses what its checksum does not fit."""
        return checksum.compares(self.clients.s3, bucket, prefix, terms)

    def markers(self, bucket: str, prefix: str, store: ObjectStore, terms: Terms) -> Markers:
        """Returns the right to remove delete markers from a bucket."""
        return S3Markers(self.clients.s3, bucket, prefix, store, terms)

    def remover(self, bucket: str, prefix: str, terms: Terms) -> VersionRemover:
        """Returns the right to remove versions from a bucket for good."""
        return S3Remover(self.clients.s3, bucket, prefix, self._clock.now, terms)

    def settings_of(self, bucket: str, owner: str | None = None) -> BucketSettings:
        """Returns a bucket's settings."""
        return S3Settings(self.clients.s3_hasty, bucket, owner)

    def default_lock(self, bucket: str, owner: str | None) -> ObjectLock | None:
        """Returns the lock of new versions in a bucket, if any; asked as patiently as the objects themselves."""
        return object_locks.of_bucket(S3Settings(self.clients.s3, bucket, owner).object_lock())

    # --- tables and streams ---

    def table(self, name: str) -> Table:
        """A live table."""
        return DynamoTable(self._dynamodb, name, self._clock, lambda: self.clients.autoscaling, writing=self._writing)

    def table_names(self) -> Iterator[str]:
        """Yields the names of the account's tables."""
        return listing.table_names(self._dynamodb)

    def tags(self, table: str) -> dict[str, str]:
        """Returns the tags of a live table."""
        return listing.tags(self._dynamodb, self.table(table).facts().arn)

    @property
    def importer(self) -> Importer:
        """DynamoDB's own import."""
        return DynamoImporter(self._dynamodb)

    def stream(self, arn: str) -> ChangeStream:
        """A stream by its ARN."""
        return DynamoStream(self._raw(self.clients.streams, raw_http.STREAMS), arn)

    def kinesis(self, arn: str, catalog: Catalog | None) -> KinesisStream:
        """Returns a Kinesis stream by its ARN, for reading one table's changes. Raises UsageError if it is not one's."""
        words = ("", "") if catalog is None else (catalog.table, catalog.stream)
        return KinesisStream(self._raw(self.clients.of("kinesis", region_of(arn)), raw_http.KINESIS), arn, *words)

    # --- the account ---

    @cached_property
    def account(self) -> Account:
        """The caller's identity, and the deployment."""
        clients: dict[str, BaseClient] = {}

        def client(service: str) -> BaseClient:
            if service not in clients:
                clients[service] = self.clients.beside(service, service, service.upper())
            return clients[service]

        return AwsAccount(client)

    def kms(self, arn: str) -> BaseClient:
        """KMS in the region of a key."""
        return self.clients.of("kms", region_of(arn))

    @property
    def region(self) -> str:
        """The region of tables and, as far as is known here, of the vault. Raises Failed if none is set."""
        return self.clients.dynamodb.meta.region_name

    def endpoints(self) -> dict[str, str]:
        """The endpoints of requests, by service."""
        return {"S3": self.clients.s3.meta.endpoint_url, "DynamoDB": self.clients.dynamodb.meta.endpoint_url}

    # --- requests: over libcurl where it is, by botocore where that is wanted ---

    @cached_property
    def _lines(self) -> Connections | None:
        """Returns None for botocore's own requests. Raises UsageError if libcurl is requested but not installed."""
        wanted = os.environ.get(TRANSPORT_VARIABLE, "")
        if wanted not in ("", "curl", "boto3"):
            raise UsageError(f"{TRANSPORT_VARIABLE} is {wanted!r}", hint="It may be `curl` or `boto3`.")
        if wanted == "boto3":
            return None
        try:
            from backstream.transport.lines import Connections  # noqa: PLC0415 - an extra: a small installation is without it
        except ImportError as error:
            if wanted:
                raise UsageError(f"pycurl cannot be used: {error}", hint="Install it: pip install 'backstream[fast]'.") from error
            return None
        return Connections(self.clients.session, self._clock, answer_within=self._answer_within)

    def _raw(self, client: BaseClient, target: str) -> RawApi:
        return BotoRaw(client) if self._lines is None else HttpRaw(self._lines.to_service(client), target)

    @property
    def _dynamodb(self) -> RawApi:
        return self._raw(self.clients.dynamodb, raw_http.DYNAMODB)

    @property
    def _writing(self) -> RawApi:
        """Returns DynamoDB's API without retries: a bulk writer retries itself, more slowly if the table throttles."""
        if self._lines is None:
            return BotoRaw(self.clients.dynamodb_once)
        return HttpRaw(self._lines.to_service(self.clients.dynamodb, once=True), raw_http.DYNAMODB)
