"""The manifest of an export, `_export.json`. It tells the files, their table, and their digests. It comes last.

Names that begin with `_` are no data to Athena, Trino and Spark. An export without a manifest is not whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.errors import Damaged, MissingObject, NotFound, TargetNotEmpty
from backstream.model import moment
from backstream.model.columns.schema import Column
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.model.values.schema import KeySchema
from backstream.operations.export.parquet_files import ExportFile
from backstream.ports import Files

FORMAT = 1
STARTED, MANIFEST = "_started", "_export.json"
CHANGES, STATE = "changes", "state"


class ExportManifest(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """`kind`: `changes` after second `since`, up to and including `until`; or `state`: every item at second `until`.

    Times are ISO 8601, UTC. `columns`: the typed columns with the attributes' true names; `damaged`: what could not be read.
    """

    format: int = FORMAT
    kind: str
    table: str
    table_arn: str
    table_id: str
    key_schema: KeySchema
    since: str | None
    until: str
    rows: int
    columns: Sequence[Column]
    damaged: Sequence[str]
    files: Sequence[ExportFile]


_manifest = msgspec.json.Decoder(ExportManifest)


def start(to: Files) -> None:
    """Marks an export as begun. Raises TargetNotEmpty if the place holds one, or the remains of one."""
    for name in (MANIFEST, STARTED):
        if _found(to, name) is not None:
            raise TargetNotEmpty(
                f"{to.url} holds {'an export' if name == MANIFEST else 'an export that was not finished'} already",
                hint="Give --to another folder, or remove what lies there.",
            )
    to.put(STARTED, b"")


def finish(to: Files, manifest: ExportManifest) -> None:
    """Writes the manifest: now the export is whole."""
    to.put(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def read(place: Files) -> ExportManifest:
    """Returns the manifest of an export. Raises NotFound if there is none, and Damaged if it is not one."""
    body = _found(place, MANIFEST)
    if body is None:
        raise NotFound(f"{place.url} has no {MANIFEST}: there is no export, or it is not whole", hint="Make the export again.")
    try:
        found = _manifest.decode(body)
        for each in (found.since, found.until):
            moment.parse_iso_micros(each or found.until)
    except UNDECODABLE as error:
        raise Damaged(f"{place.url}/{MANIFEST} is not an export's manifest: {reason(error)}") from error
    if found.format != FORMAT:
        raise Damaged(f"{place.url}/{MANIFEST} has the format {found.format}", hint="A newer version of Backstream wrote it.")
    return found


def _found(place: Files, name: str) -> bytes | None:
    try:
        return place.get(name).body
    except MissingObject:
        return None
