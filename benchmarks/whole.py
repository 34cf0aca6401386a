"""Whole tables on ministack: filled once, backed up and restored in each round, by every side in turn."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from backstream.apps.embedded import EmbeddedServers
from benchmarks import canned
from benchmarks.plan import BACKUP, DYNAMODUMP, OURS, RESTORE, TABLE_ITEMS
from benchmarks.processes import NotRunning, Running, start, start_dynamodump
from benchmarks.results import Outcome, Results

SOURCE = "bench-source"
SCRIPT = BACKUP.sides[1].label


class WholeTables:
    """A context manager: the servers, and a table in them."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._servers = EmbeddedServers()

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="backstream-bench-")
        self._servers.start()
        self._env = self._servers.environment()
        start("whole_tables.fill", TABLE_ITEMS, self._env, SOURCE).result()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._servers.stop()
        self._folder.cleanup()

    def round(self, number: int) -> None:
        """Back up, then restore."""
        folder, vault = Path(self._folder.name) / str(number), f"s3://{canned.BUCKET}/round-{number}"
        folder.mkdir()
        file, target = str(folder / "table.json"), f"bench-restored-{number}"
        dump = self._dynamodump(folder, "-m", "backup")  # it sleeps for 25 seconds first: the others are done by then
        self._take_backup(OURS, self._start("our_backup", SOURCE, vault))
        self._take_backup(SCRIPT, self._start("plain_backup", SOURCE, file))
        self._take_backup(DYNAMODUMP, dump)
        self._take_restore(OURS, self._start("our_restore", SOURCE, vault, f"{target}-ours"))
        self._take_restore(SCRIPT, self._start("plain_restore", file, f"{target}-plain"))
        words = (
            "-m",
            "restore",
            "-d",
            f"{target}-dump",
            "--billingMode",
            "PAY_PER_REQUEST",
            "--skipThroughputUpdate",
            "--noConfirm",
        )
        self._take_restore(DYNAMODUMP, self._dynamodump(folder, *words))

    def _start(self, work: str, *words: str) -> Running:
        return start(f"whole_tables.{work}", TABLE_ITEMS, self._env, *words)

    def _dynamodump(self, folder: Path, *words: str) -> Running | NotRunning:
        url = urlsplit(self._servers.url)
        where = ("--host", str(url.hostname), "--port", str(url.port), "--accessKey", "test", "--secretKey", "test")
        table = ("-r", canned.REGION, "-s", SOURCE, "--dumpPath", str(folder / "dump"))
        return start_dynamodump(TABLE_ITEMS, self._env, *words, *where, *table)

    def _take_backup(self, label: str, running: Running | NotRunning) -> None:
        self._results.take(BACKUP, label, lambda: Outcome(running.result()))

    def _take_restore(self, label: str, running: Running | NotRunning) -> None:
        self._results.take(RESTORE, label, lambda: Outcome(running.result()))
