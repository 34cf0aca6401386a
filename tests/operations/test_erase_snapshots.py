"""`erase` and a snapshot in the table's own folder: it stays one that AWS and this tool take, without the subject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstream.operations.erase import EraseContext, erase, verify_erasure
from backstream.operations.restore.request import RestoreContext
from backstream.operations.restore.snapshot import snapshot
from backstream.vault.aws_export import manifests
from backstream.vault.aws_export.manifests import ExportNames
from backstream.vault.aws_export.reader import DataFiles
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import Codec
from kit.canary import CANARY, found_in
from kit.lived import SMALL
from operations.test_erase import REQUEST, with_subject

PLACE = "_backstream/flights/snapshots/"


class Below:
    """The files below that place in a store."""

    url = f"s3://bucket/{PLACE}".rstrip("/")

    def __init__(self, store: Any) -> None:
        self._store = store

    def put(self, name: str, body: bytes) -> None:
        self._store.put(PLACE + name, body)

    def get(self, name: str) -> Any:
        return self._store.get(PLACE + name)


@pytest.mark.parametrize("codec", Codec)
def test_a_snapshot_in_the_vault_stays_one_without_the_subject(codec: Codec, tmp_path: Path) -> None:
    stage, seconds = with_subject(Layout.LOG)
    files: Any = Below(stage.store)
    around = RestoreContext(lambda _: stage.table, stage.clock, tmp_path)
    made = snapshot(stage.vault(), seconds[0], files, around, compress=codec, allow_gap=True)
    names = ExportNames(made.id)
    images = list(_images(files, names))
    assert len(images) == made.items > 3
    remover: Any = stage.store
    report = erase(stage.vault, REQUEST, EraseContext(stage.clock, remover, SMALL))
    assert (list(report.left), list(report.blocked), found_in(stage.store)) == ([], [], [])
    left = [each for each in images if CANARY.encode() not in each]
    assert list(_images(files, names)) == left, "all other lines are as they were, byte for byte"
    summary = files.get(names.summary).body
    assert manifests.decode_summary(summary).item_count == len(left)
    assert files.get(manifests.checksum_names(names.summary)[0]).body == manifests.checksum(summary).encode()
    assert len(left) == made.items - 1, "the subject was in it"
    verified = verify_erasure(stage.vault(), report.id, EraseContext(stage.clock, remover, SMALL))
    assert (list(verified.found), list(verified.unread)) == ([], [])


def _images(files: Any, names: ExportNames) -> Any:
    for each in manifests.decode_files(files.get(names.files).body):
        yield from DataFiles(files).images(each)
