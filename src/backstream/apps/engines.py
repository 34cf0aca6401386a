"""The engine that a command asks for."""

from __future__ import annotations

import enum

import msgspec

from backstream.errors import UsageError


class EngineKind(enum.StrEnum):
    """Where states are computed: in processes on this machine, or on a Spark cluster."""

    LOCAL = "local"
    SPARK = "spark"


class EngineChoice(msgspec.Struct, frozen=True):
    """`master`: the Spark cluster's URL; None: what `spark-submit` says."""

    kind: EngineKind
    master: str | None = None


LOCAL = EngineChoice(EngineKind.LOCAL)


def choice_of(kind: EngineKind | str, master: str | None) -> EngineChoice:
    """Returns the choice. Raises UsageError for an unknown engine, and for a master without Spark."""
    if kind not in list(EngineKind):
        raise UsageError(f"no such engine: {kind!r}", hint="It is `local` or `spark`.")
    if master is not None and kind != EngineKind.SPARK:
        raise UsageError("--master names a Spark cluster", hint="Add --engine spark.")
    return EngineChoice(EngineKind(kind), master)
