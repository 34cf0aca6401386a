"""Wires concrete parts: the only place that knows which store, table and stream stand behind the ports.

Endpoints, credentials and regions come from botocore's own chain; the vault's URL from the call or `BACKSTREAM_VAULT`.
"""

from __future__ import annotations

import math
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from copy import copy
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from backstream import private_files
from backstream.apps.aws.bucket_owners import BucketOwners
from backstream.apps.aws.locations import TablePlace, limit_of, place_of
from backstream.apps.engines import LOCAL, EngineChoice, EngineKind
from backstream.apps.signing.keys import Keys
from backstream.clock import SystemClock
from backstream.engine.local import memory as memories
from backstream.engine.local.memory import Memory
from backstream.errors import AccessDenied, BackstreamError, UsageError
from backstream.model.changes.deliveries import is_kinesis
from backstream.model.object_lock import ObjectLock
from backstream.model.values import object_limits
from backstream.ports import (
    Account,
    BucketSettings,
    ChangeStream,
    Clock,
    Engine,
    Files,
    Importer,
    ListedFiles,
    LockTrial,
    Markers,
    ObjectStore,
    Table,
    VersionRemover,
)
from backstream.stores.catalog_reader import ReadingCatalogs
from backstream.stores.directory import DirectoryStore
from backstream.stores.folder import FolderFiles
from backstream.stores.retrying import RetryingStore
from backstream.stores.s3.store import S3Store
from backstream.vault.catalog import Catalog
from backstream.vault.log.checked_records import RecordVersion
from backstream.vault.table_vault import TableVault

if TYPE_CHECKING:
    from botocore.client import BaseClient

    from backstream.apps.aws.services import Aws
    from backstream.stores.s3.api import Terms
    from backstream.tables.kinesis import KinesisStream

VAULT_VARIABLE = "BACKSTREAM_VAULT"
MAX_PREFIX = 120  # bytes; see model/tables/naming.py: what a table's longest object name leaves of S3's 1,024
STORE_PATIENCE = 20.0


class Config:
    """One process's parts, made at the first request. `vault`: the URL, or None for the environment's.

    `patience`: the seconds for which a store's temporary faults are retried. `deadline`: the epoch second after which they are not
    retried at all; `answer_within`: the seconds in which S3 must answer. Both are for a process with little time, such as a Lambda
    function. `verify_key`: trust only objects of the vault that are signed with it, `kms:ARN` or a file; `min_head`: see
    `signatures`; `engine`: what computes states.
    """

    def __init__(
        self,
        vault: str | None = None,
        *,
        clock: Clock | None = None,
        patience: float = STORE_PATIENCE,
        deadline: float | None = None,
        answer_within: float | None = None,
        place: TablePlace | None = None,
        verify_key: str | None = None,
        min_head: int | None = None,
        engine: EngineChoice = LOCAL,
    ) -> None:
        self._vault = vault
        self._engine = engine
        self._verify_key = verify_key
        self.min_head = min_head
        self._at = place or TablePlace()
        self._patience = patience
        self.deadline = deadline
        self._answer_within = answer_within
        self.clock = clock or SystemClock()
        self.owners = BucketOwners()
        self._memory: Memory | None = None
        self._proven: set[RecordVersion] = set()  # shared by all vaults that are opened here: see `CheckedRecords`
        self.writer = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"

    def elsewhere(self, place: TablePlace) -> Config:
        """Returns the parts of tables in another account or region, or on another server, with the same clock and patience."""
        return Config(
            self._vault,
            clock=self.clock,
            patience=self._patience,
            deadline=self.deadline,
            answer_within=self._answer_within,
            place=place,
            engine=self._engine,
        )

    # --- the vault ---

    @property
    def url(self) -> str:
        """The vault's URL. Raises UsageError if none is given."""
        url = self._vault or os.environ.get(VAULT_VARIABLE, "")
        if not url:
            raise UsageError(
                "no vault is given", hint=f"Give --vault s3://bucket/prefix (or file:///folder), or set {VAULT_VARIABLE}."
            )
        return url

    @property
    def has_vault(self) -> bool:
        """True if a vault is named at all."""
        return bool(self._vault or os.environ.get(VAULT_VARIABLE))

    @cached_property
    def store(self) -> ObjectStore:
        """The vault's store: S3 or a local directory, with temporary faults retried. Raises UsageError for a URL of neither."""
        return self.keys.verifying(self.keys.signing(self._patient_store))

    @cached_property
    def keys(self) -> Keys:
        """The keys that sign and verify."""
        return Keys(self._kms, self._verify_key)

    def verified(self, table: str) -> TableVault:
        """Returns the vault of a table for a caller that signs its output: in a signed vault only signed objects are trusted."""
        vault = self.vault(table)
        signer = self.keys.signer_of(table, vault.catalog.signing)
        return vault if signer is None else self._open(self.keys.verified_by(signer, self.store), table, verified=True)

    def through(self, seen: Callable[[ObjectStore], ObjectStore]) -> Config:
        """Returns the same parts, with the vault's store seen through a wrapper."""
        same = copy(self)
        vars(same)["store"] = seen(self.store)
        return same

    @property
    def _patient_store(self) -> ObjectStore:
        plain = ReadingCatalogs(self._plain_store(), self.owners.read)
        return RetryingStore(plain, self.clock, budget=self._patience, deadline=lambda: self.deadline or math.inf)

    def _plain_store(self) -> ObjectStore:
        place = place_of(self.url)
        if isinstance(place, Path):
            return DirectoryStore(place, self.clock, limit_of(object_limits.in_vault))
        bucket, prefix = place
        if len(prefix.encode()) > MAX_PREFIX:
            raise UsageError(f"the vault's prefix is longer than {MAX_PREFIX} bytes: {prefix}")
        return S3Store(self._aws.bucket(bucket, limit_of(object_limits.in_vault), self.owners.of_vault(prefix)), prefix, self.clock)

    def create_root(self, lock: ObjectLock | None = None) -> str | None:
        """Create the vault's bucket or folder: see `Vault.create` of the library."""
        parts = urlsplit(self.url)
        if parts.scheme == "s3":
            return self._aws.create_bucket(parts.netloc, self.owners.vault(), lock)
        if lock is not None:
            raise UsageError(f"{self.url} is no bucket: it has no Object Lock")
        if parts.scheme == "file":
            private_files.make_folder(Path(unquote(parts.path)))
        return None

    @property
    def markers(self) -> Markers:
        """Returns the right to remove delete markers from the vault: only `check --repair` asks for it."""
        place = place_of(self.url)
        if isinstance(place, Path):
            return DirectoryStore(place, self.clock)
        bucket, prefix = place
        return self._aws.markers(bucket, prefix, self.store, self.owners.of_vault(prefix))

    @property
    def default_lock(self) -> ObjectLock | None:
        """Returns the lock of new versions in the vault's bucket; None if there is none, or if these credentials may not ask."""
        place = place_of(self.url)
        try:
            return None if isinstance(place, Path) else self._aws.default_lock(place[0], self.owners.vault())
        except AccessDenied:
            return None  # locks hold all the same: a removal that meets one is told

    @property
    def lock_trial(self) -> LockTrial | None:
        """Returns a trial of the vault's Object Lock; None for a vault in a folder."""
        place = place_of(self.url)
        return None if isinstance(place, Path) else self._aws.lock_trial(*place, self.owners.of_vault(place[1]))

    @property
    def comparing(self) -> Callable[[], bool] | None:
        """Returns a trial of the server's checksums; None for a vault in a folder."""
        place = place_of(self.url)
        return None if isinstance(place, Path) else partial(self._aws.compares_checksums, *place, self.owners.of_vault(place[1]))

    @property
    def remover(self) -> VersionRemover:
        """Returns the right to remove versions from the vault for good: only `retain` and `erase` ask for it."""
        place = place_of(self.url)
        if isinstance(place, Path):
            return DirectoryStore(place, self.clock)
        return self._aws.remover(*place, self.owners.of_vault(place[1]))

    def remover_of(self, url: str, account: str | None = None) -> VersionRemover:
        """Returns the right to remove versions from the bucket of discarded batches: see `destination`."""
        return self._aws.remover(urlsplit(url).netloc, "", self.owners.of_failures(account))

    def files(self, url: str) -> FolderFiles | RetryingStore:
        """Returns the place of a snapshot, a dump or an AWS export: a folder of plain files, or a bucket, with versions or not."""
        place = place_of(url)
        if isinstance(place, Path):
            return FolderFiles(place, limit_of(object_limits.in_files))
        api = self._aws.bucket(place[0], limit_of(object_limits.in_files), self._terms_of(place[0]))
        files = S3Store(api, place[1], self.clock, versioned=False)
        return RetryingStore(files, self.clock, budget=self._patience)

    def files_opener(self, url: str) -> Callable[[], Files] | None:
        """Returns what opens the same place in another process; None if the engine is on this machine."""
        if self._engine.kind is not EngineKind.SPARK:
            return None
        made: Callable[[], Files] = import_module("backstream.apps.spark_vault").files_opener(url, self._vault, self._patience)
        return made

    @property
    def opener_of(self) -> Callable[[str], Callable[[], tuple[Table, Clock]]] | None:
        """Returns what makes openers of tables for another process; None if the engine is on this machine."""
        if self._engine.kind is not EngineKind.SPARK:
            return None
        made: Callable[[str], Callable[[], tuple[Table, Clock]]] = import_module("backstream.apps.spark_vault").table_opener
        return made

    def trail(self, url: str) -> tuple[ListedFiles, str]:
        """Returns the place of CloudTrail's files, a bucket or a folder, and the path of that place: `s3://bucket/path` or a
        folder's own.
        """
        place = place_of(url) if "://" in url or not url else Path(url).absolute()
        if isinstance(place, Path):
            if place.is_file():
                raise UsageError(f"{place} is a file", hint="Give the folder that holds CloudTrail's files.")
            return FolderFiles(place, limit_of(object_limits.in_files)), str(place)
        api = self._aws.bucket(place[0], limit_of(object_limits.in_files), self.owners.of_files(in_vault=False))
        files = S3Store(api, place[1], self.clock, versioned=False)
        return RetryingStore(files, self.clock, budget=self._patience), place[1]

    def _terms_of(self, bucket: str) -> Terms:
        return self.owners.of_files(in_vault=self.has_vault and urlsplit(self.url)[:2] == ("s3", bucket))

    def with_memory(self, memory: Memory) -> Config:
        """Returns the same parts, with another memory limit: for a caller that needs the rest itself."""
        same = copy(self)
        vars(same)["_memory"] = memory
        return same

    @property
    def memory(self) -> Memory:
        """Returns the engine's memory limit from the environment (MB). Raises UsageError if that is not a number, or too small."""
        if self._memory is not None:
            return self._memory
        text = os.environ.get(memories.VARIABLE, "")
        if not text:
            return Memory()
        if not text.isdecimal() or int(text) * memories.MEGABYTE < memories.LEAST:
            least = memories.LEAST // memories.MEGABYTE
            raise UsageError(f"{memories.VARIABLE} is {text!r}", hint=f"It is a number of megabytes, {least} at least.")
        return Memory(int(text) * memories.MEGABYTE)

    def vault(self, table: str) -> TableVault:
        """Returns the vault of a table. Raises NotFound before `init`."""
        return self._open(self.store, table)

    def _open(self, store: ObjectStore, table: str, *, verified: bool = False) -> TableVault:
        return TableVault.open(store, table, self.destination, partial(self.engine, verified=verified), self._proven)

    def engine(self, *, verified: bool = False) -> Engine[TableVault]:
        """Returns a new engine, which computes tables' states. Its module is loaded only now: a capture function needs none.

        `verified`: it trusts only signed objects. An engine elsewhere opens the vault anew.
        """
        made: Engine[TableVault]
        if self._engine.kind is EngineKind.SPARK:
            spark = import_module("backstream.apps.spark_vault").engine
            made = spark(self._engine.master, self.clock, self.url, self._patience, self._verify_key, verified=verified)
            return made
        made = import_module("backstream.engine.local.engine").LocalEngine(self.memory)
        return made

    @property
    def bucket_owner(self) -> str | None:
        """Returns the account of the vault's bucket: from the environment, or the caller's own; None if it is unknown."""
        settings = self.bucket_settings()
        if settings is None or (known := self.owners.vault()) is not None:
            return None if settings is None else known
        try:
            account = str(self.account.identity()["Account"])
            return account if settings.is_of(account) else None
        except BackstreamError:
            return None

    def destination(self, url: str, account: str | None = None) -> ObjectStore:
        """Returns the bucket that receives the batches which Lambda discards. Raises UsageError if it is not a bucket, or is the
        vault's own.

        `account`: its expected owner, the table's account; None for any.
        """
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.path.strip("/") or url.rstrip("/") != f"s3://{parts.netloc}":
            raise UsageError(f"not a bucket: {url!r}", hint="An on-failure destination is a whole bucket: write s3://bucket.")
        if urlsplit(self.url)[:2] == parts[:2]:
            raise UsageError(f"{url} is the vault's own bucket", hint="Discarded batches need a bucket of their own beside it.")
        terms = self.owners.of_failures(account)
        store = S3Store(self._aws.bucket(parts.netloc, lambda _: object_limits.BATCH, terms), "", self.clock, versioned=False)
        return RetryingStore(store, self.clock, budget=self._patience)

    # --- tables and streams ---

    def table(self, name: str) -> Table:
        """A live table."""
        return self._aws.table(name)

    def table_names(self) -> Iterator[str]:
        """Yields the names of the account's live tables."""
        return self._aws.table_names()

    def tags(self, table: str) -> dict[str, str]:
        """Returns the tags of a live table."""
        return self._aws.tags(table)

    @property
    def importer(self) -> Importer:
        """DynamoDB's own import."""
        return self._aws.importer

    def stream(self, arn: str) -> ChangeStream:
        """A stream by its ARN."""
        return self._aws.stream(arn)

    def source(self, catalog: Catalog, arn: str) -> ChangeStream:
        """A stream by its ARN, or the table's changes in a Kinesis stream."""
        return self.kinesis(arn, catalog) if is_kinesis(arn) else self.stream(arn)

    def kinesis(self, arn: str, catalog: Catalog | None = None) -> KinesisStream:
        """Returns a Kinesis stream by its ARN, for reading one table's changes. Raises UsageError if it is not one's."""
        return self._aws.kinesis(arn, catalog)

    # --- the account ---

    @property
    def account(self) -> Account:
        """The caller's identity, and the deployment."""
        return self._aws.account

    def bucket_settings(self) -> BucketSettings | None:
        """Returns the settings of the vault's bucket; None for a vault in a folder."""
        place = place_of(self.url)
        return None if isinstance(place, Path) else self._aws.settings_of(place[0], self.owners.vault())

    def settings_of(self, bucket: str) -> BucketSettings:
        """Returns the settings of any other bucket."""
        return self._aws.settings_of(bucket)

    @property
    def prefix(self) -> str:
        """The prefix of the vault's names in its bucket: empty, or ending in `/`."""
        place = place_of(self.url)
        return "" if isinstance(place, Path) or not place[1] else f"{place[1]}/"

    @property
    def region(self) -> str:
        """The region of tables and, as far as is known here, of the vault. Raises Failed if none is set."""
        return self._aws.region

    def endpoints(self) -> dict[str, str]:
        """The endpoints of requests, by service."""
        return self._aws.endpoints()

    def _kms(self, arn: str) -> BaseClient:
        return self._aws.kms(arn)

    @cached_property
    def _aws(self) -> Aws:
        """The parts in AWS.

        Their module is loaded now, by its name: botocore comes with it and takes longer than everything else.
        """
        made: Aws = import_module("backstream.apps.aws.services").Aws(self._at, self.clock, self._answer_within)
        return made
