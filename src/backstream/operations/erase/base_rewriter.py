"""Writes base backups that hold lines of the subject anew, under another id, before the old ones are removed."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from backstream.errors import AlreadyExists, Damaged, MissingObject
from backstream.model.changes.entry import from_line
from backstream.operations.erase import line_objects
from backstream.operations.erase.subject import Subject
from backstream.vault import catalog as catalogs
from backstream.vault.bases import FORMAT, Base, CompletionRecord, Part
from backstream.vault.catalog import Catalog, folder
from backstream.vault.erasure import erased_bases
from backstream.vault.erasure.erased_bases import new_id
from backstream.vault.erasure.erasures import TouchedObject
from backstream.vault.log import segments
from backstream.vault.table_vault import TableVault

UNDER_WAY = 3_600  # seconds since the last part of an unfinished base backup in which somebody may still be writing it


class BaseRewriter:
    """`new_bases`: the old base backups, each with the one that replaces it; `touched`: parts that held lines of the subject."""

    def __init__(self, vault: TableVault, subject: Subject, erasure: str, now: float) -> None:
        self._vault = vault
        self._subject = subject
        self._erasure = erasure
        self._now = now
        self.new_bases: dict[str, str] = {}
        self.touched: list[TouchedObject] = []

    def run(self) -> None:
        """Writes what has to be written. Raises Damaged if one is being made at this time, or cannot be read."""
        bases = self._vault.bases
        complete = {each.id: each for each in (*bases.complete(), *bases.every_kept()) if each.kind.is_whole}
        self.new_bases = replaced(self._vault)
        left: Damaged | None = None
        for base in sorted(set(bases.ids()) - set(self.new_bases)):
            try:
                self._write_anew(base, complete.get(base))
            except MissingObject as error:
                what = f"the base backup {base} is being removed by `retain`: {error.message}"
                left = Damaged(what, hint="Run the same command again.")
            except Damaged as error:
                left = error
        self._note_in_catalog()  # in any case: what was replaced is removed
        if left is not None:
            raise left

    def _write_anew(self, base: str, complete: Base | None) -> None:
        parts = self._vault.bases.parts(base)
        hits = [self._hits(part) for part in parts]
        if new_id(base, self._erasure) != base and any(hits):
            self._rewrite(base, parts, complete)

    def _hits(self, part: Part) -> int:
        claim, body = self._vault.bases.claim_and_body(part)
        entries = (entry for block in line_objects.blocks(claim, body) for entry, _ in block)
        lines = sum(self._subject.has(self._vault.key(entry), entry) for entry in entries)
        if lines:
            self.touched.append(TouchedObject(part.name, lines))
        return lines

    def _rewrite(self, base: str, parts: list[Part], complete: Base | None) -> None:
        bases, new = self._vault.bases, new_id(base, self._erasure)
        if complete is None and max(each.modified for each in parts) > self._now - UNDER_WAY:
            raise Damaged(
                f"the base backup {base} is not complete, and was written to within the last hour",
                hint="Let `backstream backfill` end, then run the same command again.",
            )
        rows = sum(self._rewritten(part, new) for part in parts)
        if complete is not None:
            source = bases.account(complete).source
            bases.finish(msgspec.structs.replace(complete, id=new), CompletionRecord(FORMAT, source, rows, len(parts)))
        plan = bases.plan(base)
        if plan is not None:
            bases.begin(msgspec.structs.replace(plan, id=new))  # last: `replaced` believes it
        self.new_bases[base] = new

    def _rewritten(self, part: Part, new: str) -> int:
        """Writes a part without the subject's lines; returns how many are left."""
        claim, body = self._vault.bases.claim_and_body(part)
        lines = [text for block in line_objects.blocks(claim, body) for entry, text in block if self._stays(entry.keys, text)]
        begin_end = part.name.rpartition("/")[2].split("_", 2)[2]
        name = f"{folder(self._vault.catalog.table)}base/{new}/{part.segment:05d}-{part.number:06d}_{len(lines)}_{begin_end}"
        with suppress(AlreadyExists):
            packed = part.codec.compress(b"".join(each + b"\n" for each in lines))
            self._vault.store.put(name, packed, {"format": segments.FORMAT}, if_absent=True)
        return len(lines)

    def _stays(self, keys: bytes, text: bytes) -> bool:
        return not self._subject.has(self._vault.key_of(keys), from_line(text))

    def _note_in_catalog(self) -> None:
        def noted(catalog: Catalog) -> Catalog:
            last, horizon, new = catalog.base_backup, catalog.horizon, self.new_bases
            if last is not None and last.id in new:
                last = msgspec.structs.replace(last, id=new[last.id])
            if horizon is not None and horizon.base in new:
                horizon = msgspec.structs.replace(horizon, base=new[horizon.base])
            kept = tuple(msgspec.structs.replace(each, base=new.get(each.base, each.base)) for each in catalog.kept_states)
            return msgspec.structs.replace(catalog, base_backup=last, horizon=horizon, kept_states=kept)

        if self.new_bases:
            catalogs.change(self._vault.store, self._vault.catalog.table, noted)


def replaced(vault: TableVault) -> dict[str, str]:
    """Returns the base backups that were written anew, each with the one that replaces it: those of which parts are left, and those
    that the catalog names.
    """
    catalog, there = vault.catalog, set(vault.bases.ids())
    planned = {each for each in there if vault.bases.plan(each) is not None}
    stems = {erased_bases.stem(each) for each in planned}
    known = (*vault.bases.complete(), *vault.bases.every_kept())
    complete = {each.id for each in known if erased_bases.stem(each.id) not in stems}
    named = {each.base for each in catalog.kept_states} | ({catalog.horizon.base} if catalog.horizon is not None else set())
    return erased_bases.replaced(there | named, planned | complete)
