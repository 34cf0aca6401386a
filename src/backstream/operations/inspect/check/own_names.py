"""The names that Backstream gives to the objects in a table's own folder."""

from __future__ import annotations

import re

from backstream.vault.attribution.findings import NAME as FINDINGS
from backstream.vault.catalog import folder
from backstream.vault.catalog_checks import ERASURE
from backstream.vault.log.generation import SET_ID
from backstream.vault.table_vault import TableVault

_NAMES = re.compile(
    rf"""catalog\.json | columns\.json
    | redriven/[0-9a-f]{{32}} | agreed/\d{{11}}
    | drills/\d{{8}}T\d{{6}}\.\d{{3}}Z_[^/]+\.json
    | erasures/(?:forgotten-[0-9a-f]+ | {ERASURE.pattern}/(?:begun | done | pass-[0-9a-f]{{16}}))\.json
    | compacted/(?:generations/\d{{8,}}\.json | gaps/\d{{8,}}\.json\.zst)
    | compacted/{SET_ID}/(?:\d{{5,}}-of-\d{{5,}}\.ndjson\.zst | sources\.ndjson\.zst | erased\.json)
    | gaps/.+\.json
    | actors/{FINDINGS.pattern}""",
    re.VERBOSE | re.DOTALL,
)


def is_own(vault: TableVault, name: str) -> bool:
    """True for a name that Backstream gives to an object beside the log. Readers of the log judge the names there."""
    if "/base/" in name:
        return vault.bases.owns(name)
    return _NAMES.fullmatch(name.removeprefix(folder(vault.catalog.table))) is not None
