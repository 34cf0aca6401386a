"""A table with a stream, a vault in a bucket, and the command line between them: what most tests of operations begin with."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from backstream.apps.cli.main import call
from backstream.apps.config import Config
from backstream.apps.library import TableBackup, Vault
from backstream.clock import SystemClock
from backstream.errors import NotFound
from backstream.model.tables.creation import on_demand
from backstream.model.values import wire
from backstream.model.values.schema import KeySchema
from backstream.operations.capture.shards import Settings
from backstream.ports import Delete, ObjectStore, Put, Write
from backstream.tables.dynamodb import DynamoTable
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.vault.table_vault import TableVault
from kit.aws import Aws
from kit.images import SCHEMA

COMMAND = str(Path(sys.executable).with_name("backstream"))
QUICK = Settings(poll=0.02, quiet_reads=2, topology_every=0.2)


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Its report."""
        return msgspec.json.decode(self.out)


class Scene:
    """`environment`: what every command gets; `url`: the vault's; `folder`: where commands run."""

    def __init__(self, aws: Aws, bucket: str, table: str, folder: Path, schema: KeySchema = SCHEMA) -> None:
        self.aws = aws
        self.bucket = bucket
        self.table = table
        self.folder = folder
        self.schema = schema
        self.url = f"s3://{bucket}/backups"
        self.environment: dict[str, str] = {**aws.environment, "AWS_EC2_METADATA_DISABLED": "true"}

    # --- commands ---

    def run(self, *words: str, environment: Mapping[str, str] | None = None) -> Ran:
        """A command as its own process, off a terminal."""
        done = subprocess.run(
            [COMMAND, *words],
            cwd=self.folder,
            env=self._whole(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """A command as its own process, still running."""
        return subprocess.Popen(
            [COMMAND, *words],
            cwd=self.folder,
            env=self._whole(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, *words: str, environment: Mapping[str, str] | None = None) -> Ran:
        """A command in this process: the same words, the same answer, a second sooner."""
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        with (
            patch.dict(os.environ, self._whole(environment), clear=True),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = call([str(word) for word in words])  # a member of an enumeration is the word that it stands for
            out.flush()
        return Ran(code, out.buffer.getvalue().decode(), err.getvalue())

    def _whole(self, more: Mapping[str, str] | None) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BACKSTREAM_"))}
        return {**inherited, **self.environment, "BACKSTREAM_VAULT": self.url, "COLUMNS": "200", **(more or {})}

    # --- the table ---

    def create(self, name: str | None = None, *, schema: KeySchema | None = None) -> None:
        """Create the table, or another one. A vault that a `Feed` has made of it becomes this table's: it gets the table's id."""
        self.live(name).create(on_demand(schema or self.schema))
        if self.url and name in (None, self.table):
            self._identify(self.live().facts().table_id)

    def _identify(self, table_id: str) -> None:
        store, catalog = self.store(), f"_backstream/{self.table}/catalog.json"
        try:
            found = store.get(catalog)
        except NotFound:
            return
        known = msgspec.json.decode(found.body)
        body = msgspec.json.format(msgspec.json.encode({**known, "table_id": table_id}), indent=2)
        store.put(catalog, body, found.info.metadata)

    def live(self, name: str | None = None) -> DynamoTable:
        """The table, or another one."""
        return DynamoTable(self._dynamodb, name or self.table, SystemClock())

    @cached_property
    def _dynamodb(self) -> BotoRaw:
        return BotoRaw(self.aws.client("dynamodb", config=recommended_config()))

    def write(self, writes: Iterable[Write], name: str | None = None) -> None:
        """Do these writes, 25 at a time."""
        table, every = self.live(name), list(writes)
        for start in range(0, len(every), 25):
            assert not table.write(every[start : start + 25])

    def put(self, *images: bytes) -> None:
        """Write these items."""
        self.write(map(Put, images))

    def delete(self, *keys: bytes) -> None:
        """Delete the items of these keys."""
        self.write(map(Delete, keys))

    def items(self, name: str | None = None) -> dict[bytes, bytes]:
        """Every item, by canonical key."""
        return {wire.key_of(self.schema, image): image for page in self.live(name).scan() for image in page}

    # --- the vault ---

    def init(self, **words: Any) -> None:
        """`backstream init --enable-stream`."""
        self.backup().init(enable_stream=True, **words)

    def tail(self) -> None:
        """`backstream tail --until-caught-up`, without its patience: this stream has no records on their way."""
        self.backup().tail(until_caught_up=True, settings=QUICK)

    def backup(self) -> TableBackup:
        """The library's way in."""
        with patch.dict(os.environ, self._whole(None), clear=True):
            config = Config(self.url)
            config.table(self.table), config.store, config.stream("arn:aws:dynamodb:::table/x/stream/x")  # made in this environment
            config.bucket_settings(), config.remover  # and so are these: `status` asks for the bucket's lock
        return Vault(config).table(self.table)

    def store(self) -> ObjectStore:
        """Where the vault lies, whatever faults the environment puts before it."""
        with patch.dict(os.environ, {**self._whole(None), **self.aws.environment}, clear=True):
            return Config(self.url).store

    def vault(self) -> TableVault:
        """What the vault holds."""
        with patch.dict(os.environ, self._whole(None), clear=True):
            return Config(self.url).vault(self.table)


def file_items(path: Path, schema: KeySchema = SCHEMA) -> dict[bytes, bytes]:
    """The items of a file that `restore --to-file` wrote, by canonical key; each must be there once."""
    images = [bytes(msgspec.json.decode(line, type=dict[str, msgspec.Raw])["Item"]) for line in path.read_bytes().splitlines()]
    found = {wire.key_of(schema, image): image for image in images}
    assert len(found) == len(images)
    return found


def same(some: Mapping[bytes, bytes], others: Mapping[bytes, bytes]) -> bool:
    """Whether two tables hold the same items, numbers by value."""
    return some.keys() == others.keys() and all(wire.same_image(some[key], others[key]) for key in some)


def next_second() -> int:
    """Wait until a new second has begun; the one that ended."""
    ended = int(time.time())
    while int(time.time()) == ended:
        time.sleep(0.02)
    return ended
