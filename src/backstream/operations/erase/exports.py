"""Takes the subject out of snapshots in a table's own folder: out of their data files, and out of the counts in their manifests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from backstream.operations.erase.searching import Search, compressed_as, plain
from backstream.ports import ObjectStore, ObjectVersion
from backstream.vault.aws_export import manifests
from backstream.vault.aws_export.manifests import ExportNames

_DATA = re.compile(r"(?P<root>.*/)AWSDynamoDB/(?P<id>[^/]+)/data/[^/]+\.json(\.gz|\.zst)?")


def is_data(name: str) -> bool:
    """True if an object is a data file of a full export."""
    return _DATA.fullmatch(name) is not None


def rewrite(store: ObjectStore, search: Search, rows: Sequence[ObjectVersion]) -> None:
    """Writes these versions of data files anew without the subject's lines, and renews the manifests of their exports.

    All other lines stay byte for byte. An interrupted run is completed by another one with the same versions, so remove them after
    that.
    """
    for row in rows:
        if row.latest:
            stored = store.get(row.name, row.version)
            kept = [each for each in plain(stored.body).splitlines(keepends=True) if not search.is_in(each)]
            store.put(
                row.name, compressed_as(stored.body, b"".join(kept)), _unsigned(stored.info.metadata), if_match=stored.info.tag
            )
    found = [match for row in rows if (match := _DATA.fullmatch(row.name)) is not None]
    for root, export in sorted({(each["root"], each["id"]) for each in found}):
        _renew(store, root, export)


def _renew(store: ObjectStore, root: str, export: str) -> None:
    """Writes an export's manifests as its data files are by now. One without a summary is not complete, and stays so."""
    names = ExportNames(export)
    there = {each.name for each in store.list(root + names.folder)}
    if not {root + names.files, root + names.summary} <= there:
        return
    listed = manifests.decode_files(store.get(root + names.files).body)
    files = []
    for each in listed:
        body = store.get(root + each.name).body
        count, md5, etag = len(plain(body).splitlines()), manifests.checksum(body), manifests.etag(body)
        files.append(msgspec.structs.replace(each, item_count=count, md5_checksum=md5, etag=etag))
    summary = manifests.decode_summary(store.get(root + names.summary).body)
    summary = msgspec.structs.replace(summary, item_count=sum(each.item_count for each in files))
    for name, body in (
        (root + names.files, manifests.encode_files(files)),
        (root + names.summary, manifests.encode_summary(summary)),
    ):
        if store.get(name).body != body:
            store.put(manifests.checksum_names(name)[0], manifests.checksum(body).encode())
            store.put(name, body)


def _unsigned(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in metadata.items() if name != "signature"}
