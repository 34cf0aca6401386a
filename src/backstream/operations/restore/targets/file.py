"""Restoring into a file, or into whatever takes the items."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backstream.operations.restore.plan import Planning
from backstream.operations.restore.report import TargetOutcome
from backstream.operations.restore.request import RestoreJob, TargetRequest
from backstream.operations.restore.resume_file import Leftovers
from backstream.operations.restore.targets.sinks import FileSink, Sink, check_file
from backstream.ports import Table


class ToFile(TargetRequest, frozen=True):
    """Restores into a file of `{"Item":...}` lines, as AWS's full export writes them."""

    path: Path

    def bind(self, job: RestoreJob) -> Elsewhere:  # noqa: ARG002 - a file needs nothing of it
        """Return the target of one restore."""
        return Elsewhere(str(self.path), lambda: FileSink(self.path), lambda: check_file(self.path))


class Into(TargetRequest, frozen=True):
    """Restores into the sink that `begin` makes once the moment has been checked; `name`: its name in reports."""

    name: str
    begin: Callable[[], Sink]

    def bind(self, job: RestoreJob) -> Elsewhere:  # noqa: ARG002 - whoever begins it knows what it needs
        """Return the target of one restore."""
        return Elsewhere(self.name, self.begin, lambda: None)


class Elsewhere:
    """A target that is no table: every item of the moment is written to it, once. See `request.RestoreTarget`."""

    in_place = False
    resumable = False
    continues = False
    wants_items = True
    before = None

    def __init__(self, name: str, begin: Callable[[], Sink], check: Callable[[], None]) -> None:
        self.name = name
        self._begin = begin
        self._check = check

    def check(self) -> None:
        """TargetNotEmpty where something is there."""
        self._check()

    def compare(self) -> Table | None:
        """Nothing is there to compare with."""
        return None

    def planning(self) -> Planning | None:
        """It takes no write units."""
        return None

    def open_sink(self, left: Leftovers) -> Sink:  # noqa: ARG002 - it cannot be resumed
        """Begin it."""
        return self._begin()

    def watch(self, sink: Sink) -> Sink:
        """Nothing expires in it."""
        return sink

    def finish(self, *, dry_run: bool) -> TargetOutcome:  # noqa: ARG002 - the same in both
        """There is nothing to tell."""
        return TargetOutcome()

    def close(self) -> None:
        """It keeps no files besides."""
