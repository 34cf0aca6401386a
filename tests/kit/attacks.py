"""Somebody who may put objects into a vault, and delete markers: what he tries, at random. He never has the key that signs."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import msgspec

from backstream.errors import Damaged
from backstream.model import moment
from backstream.model.changes.entry import Entry, to_line
from backstream.model.values import digests, wire
from backstream.ports import ObjectVersion, StoredObject
from backstream.stores.memory import MemoryStore
from backstream.vault import catalog as catalogs
from backstream.vault import horizon
from backstream.vault.bases import Base, BaseKind, BasePlan, Bases, CompletionRecord
from backstream.vault.below_markers import First
from backstream.vault.catalog import Catalog
from backstream.vault.erasure.erasures import ErasedRow, Erasure
from backstream.vault.gaps.gaps import Gaps, note_of
from backstream.vault.gaps.index import FoldedGap, GapIndex, GapIndexes
from backstream.vault.log import frames
from backstream.vault.log.compacted import Compacted
from backstream.vault.log.erased_lines import ErasedLines
from backstream.vault.log.frames import FrameLine
from backstream.vault.log.generation import Generation, Set, encode
from backstream.vault.log.log import ChangeLog, LogListing
from backstream.vault.log.segments import Codec, SegmentKind, of_batch, pack
from kit import images

TABLE = "flights"
SYSTEM = f"_backstream/{TABLE}/"
LOG = f"{SYSTEM}log/"
GENERATIONS = f"{SYSTEM}compacted/generations/"
A_BASE, AN_ERASURE = "20261123T000000Z-abcdef", "20261130T085437Z-452049"


class Attack(enum.StrEnum):
    """What was tried. The words are those of docs/security.md, where it lists what remains possible without signatures."""

    OVER_SEGMENT = "a version over a segment"
    OVER_ANY = "a version over an object that is written once"
    OVER_ROW = "a version of a row"
    HIDDEN = "a delete marker"
    GENERATION = "a record of a compaction"
    GAP = "a record of a gap"
    SWAPPED = "an object under another's name"
    NEW_SEGMENT = "a new segment"
    SET = "a compacted set with its record"
    WATERMARK = "a watermark"
    BASE = "a base backup"
    NOTE = "a note"
    INDEX = "an index of gaps"
    ERASURE = "a record of an erasure"
    ERASED_LINES = "a record of erased lines"
    BESIDE = "an object that no restore reads"
    CATALOG = "a catalog"
    OLD_CATALOG = "an older catalog"
    ROLLBACK = "an older state of the whole vault"


REMAIN = frozenset(  # without signatures
    (
        Attack.NEW_SEGMENT,
        Attack.SET,
        Attack.WATERMARK,
        Attack.BASE,
        Attack.NOTE,
        Attack.INDEX,
        Attack.CATALOG,
        Attack.OLD_CATALOG,
        Attack.ROLLBACK,
    )
)


class Attacker:
    """Works on a store in memory, from a seed. `done`: what he has tried."""

    def __init__(self, store: MemoryStore, seed: int) -> None:
        self._store = store
        self._random = random.Random(seed)
        self.done: list[Attack] = []
        self._ways: Mapping[Attack, Callable[[], object]] = {
            Attack.OVER_SEGMENT: self._over_segment,
            Attack.OVER_ANY: self._over_any,
            Attack.OVER_ROW: self._over_row,
            Attack.HIDDEN: self._hide,
            Attack.GENERATION: self._generation,
            Attack.GAP: self._gap,
            Attack.SWAPPED: self._swap,
            Attack.NEW_SEGMENT: self._new_segment,
            Attack.SET: self._set,
            Attack.WATERMARK: self._watermark,
            Attack.BASE: self._base,
            Attack.NOTE: self._note,
            Attack.INDEX: self._index,
            Attack.ERASURE: self._erasure,
            Attack.ERASED_LINES: self._erased_lines,
            Attack.BESIDE: self._beside,
            Attack.CATALOG: self._catalog,
            Attack.OLD_CATALOG: self._old_catalog,
            Attack.ROLLBACK: self._roll_back,
        }

    def attack(self, allowed: frozenset[Attack] = frozenset(Attack)) -> None:
        """One to three attacks of these."""
        for _ in range(self._random.randint(1, 3)):
            which = self._random.choice(sorted(allowed))
            self.done.append(which)
            self._ways[which]()

    # --- what is there ---

    def _names(self, prefix: str) -> list[str]:
        return sorted({each.name for each in self._store.versions(prefix) if not each.marker})

    def _segments(self) -> list[LogListing]:
        listing = ChangeLog(self._store, TABLE).listing()
        return [each for each in listing if each.segment is not None and each.segment.count]

    def _entries(self) -> list[Entry]:
        """The lines of some segment, which he can read."""
        found = self._segments()
        return ChangeLog(self._store, TABLE).read(self._random.choice(found)) if found else []

    def _put(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> None:
        self._store.put(name, body, metadata)

    def _metadata(self, name: str) -> dict[str, str]:
        """As the newest version has it: with its signature, if it is signed."""
        version = next(each.version for each in self._store.versions_of(name) if not each.marker)
        return dict(self._store.get(name, version).info.metadata)

    def _made_up(self, entry: Entry) -> Entry:
        """A line like it of another image, with digests that fit."""
        if entry.place is None:
            image = None if entry.image is None else entry.image.replace(b'"N":"', b'"N":"9', 1)
            return msgspec.structs.replace(entry, image=image, after=None, before=None)
        body = self._body(entry)
        version = self._store.put(entry.place.name, body, self._metadata(entry.place.name))
        place = msgspec.structs.replace(entry.place, version=version)
        return msgspec.structs.replace(entry, place=place, body=digests.of_body(body), after=None, before=None)

    def _body(self, entry: Entry) -> bytes:
        assert entry.place is not None
        return self._store.get(entry.place.name, entry.place.version).body.replace(b'"v":{"N":"', b'"v":{"N":"9', 1)

    # --- what he does ---

    def _over_segment(self) -> None:
        found = self._segments()
        if not found:
            return
        listed = self._random.choice(found)
        made = [self._made_up(each) for each in ChangeLog(self._store, TABLE).read(listed)]
        body = self._random.choice([b"", b"what is this", pack(made, Codec.ZSTD)])
        self._put(listed.name, body, self._metadata(listed.name))

    def _over_any(self) -> None:
        name = self._random.choice([each for each in self._names(SYSTEM) if not each.endswith("catalog.json")])
        body = self._store.get(name, next(each.version for each in self._store.versions_of(name) if not each.marker)).body
        self._put(name, self._random.choice([b"", body[:-3], body + b"x", b"{}"]), self._metadata(name))

    def _over_row(self) -> None:
        names = self._names(f"{TABLE}/")
        if names:
            name = self._random.choice(names)
            body = self._store.get(name, next(e.version for e in self._store.versions_of(name) if not e.marker)).body
            later = {"sequence": "9" * 30, "event": "MODIFY"}
            self._put(name, body.replace(b'"v":{"N":"', b'"v":{"N":"9', 1), self._metadata(name) | later)

    def _hide(self) -> None:
        self._store.delete(self._random.choice(self._names("")))

    def _generation(self) -> None:
        numbers = [int(each.rpartition("/")[2].partition(".")[0]) for each in self._names(GENERATIONS)]
        number = max(numbers, default=0) + self._random.choice([0, 1, 1, 1, 2, 90_000_000])
        kept = [each.name for each in self._segments()]
        made = Generation(number=max(1, number), kept=self._random.sample(kept, self._random.randint(0, len(kept))))
        self._put(f"{GENERATIONS}{made.number:08d}.json", msgspec.json.encode(made))

    def _gap(self) -> None:
        self._put(f"{SYSTEM}gaps/{self._random.randbytes(8).hex()}.json", self._random.choice([b"{", b"", b"[]"]))

    def _swap(self) -> None:
        """True bytes, with their true signature, where others belong."""
        one, two = (self._random.choice(self._names(SYSTEM)) for _ in range(2))
        if one != two and not two.endswith("catalog.json"):
            found = self._store.get(one, next(each.version for each in self._store.versions_of(one) if not each.marker))
            self._put(two, found.body, found.info.metadata)

    def _new_segment(self) -> None:
        entries = self._entries()
        if entries:
            made = self._made_up(self._random.choice(entries))
            later = msgspec.structs.replace(made, sequence=str(int(made.sequence) + 1))
            segment = of_batch([later], SegmentKind.LAMBDA, Codec.ZSTD)
            self._put(LOG + segment.path, pack([later], Codec.ZSTD), {"format": "2", "writer": "fn"})

    def _set(self) -> None:
        """A set of one line, which stands for a segment, and the record that puts it in force."""
        listed = self._segments()
        numbers = [int(each.rpartition("/")[2].partition(".")[0]) for each in self._names(GENERATIONS)]
        if not listed or numbers:
            return
        victim = self._random.choice(listed)
        assert victim.segment is not None
        made = [self._made_up(each) for each in ChangeLog(self._store, TABLE).read(victim)]
        lines = sorted(
            (FrameLine(wire.key_of(images.SCHEMA, each.keys), each.seconds, to_line(each)) for each in made), key=_of_line
        )
        body, _ = frames.pack(lines)
        one = Set("00000001-aaaaaaaaaaaa", 1, len(made), len(body), victim.segment.min_time, victim.segment.max_time)
        self._put(f"{SYSTEM}compacted/{one.id}/00000-of-00001.ndjson.zst", body)
        self._put(f"{SYSTEM}compacted/{one.id}/sources.ndjson.zst", Codec.ZSTD.compress(msgspec.json.encode(victim.name) + b"\n"))
        record = Generation(number=1, sets=[one], unsettled=[one.id])
        self._put(f"{GENERATIONS}00000001.json", msgspec.json.encode(record))

    def _watermark(self) -> None:
        log = ChangeLog(self._store, TABLE)
        catalog = self._current()
        marks = [each.segment for each in log.listing() if each.segment is not None and not each.segment.count]
        log.write_mark(catalog.stream, max(each.max_time for each in marks) + 7_200, writer="witness")

    def _base(self) -> None:
        """One that read nothing."""
        found = max(each.segment.max_time for each in self._segments() if each.segment is not None)
        began = found - self._random.randint(0, 3_600)
        bases, kind = Bases(self._store, TABLE), self._random.choice([BaseKind.SCAN, BaseKind.STATE])
        bases.begin(BasePlan(1, A_BASE, kind, "x", 1, began))
        bases.finish(Base(kind, A_BASE, began, began + 1), CompletionRecord(1, "x", 0, 0))

    def _note(self) -> None:
        """All that was missing has come, and vault and table were the same."""
        gaps = Gaps(self._store, TABLE)
        for each in gaps.records():
            with suppress(Damaged):  # one of his own
                gap = gaps.read(each)
                batch = gap.batch or gap.evidence
                self._put(note_of(TABLE, batch), batch.encode(), {"format": "1"})
        self._put(f"{SYSTEM}redriven/{self._random.randbytes(16).hex()}", b"x")
        self._put(f"{SYSTEM}agreed/{self._random.choice([10**10, 99_999_999_999]):011d}", b"", {"format": "1"})

    def _index(self) -> None:
        """All gaps are closed, as far as a compaction may say so."""
        gaps, indexes = Gaps(self._store, TABLE), GapIndexes(self._store, TABLE)
        found = [FoldedGap(gaps.read(each), [(each.name, each.version)]) for each in _closable(gaps)]
        with suppress(Damaged):
            body = msgspec.json.encode(GapIndex(indexes.number() + 1, [], found))
            self._put(f"{SYSTEM}compacted/gaps/{indexes.number() + 1:08d}.json.zst", Codec.ZSTD.compress(body))

    def _erasure(self) -> None:
        """An erasure of items that were never erased, which no catalog names; or another record in the place of one."""
        keys = [wire.key_of(images.SCHEMA, images.key("z", number)) for number in range(8)]
        known = sorted({each.split("/")[3] for each in self._names(f"{SYSTEM}erasures/2")})
        second = self._random.choice([0, 10**9, 4 * 10**9])
        made = Erasure(2, self._random.choice([*known, AN_ERASURE]), moment.iso(second), "x", "x", "00", (), forgets=True)
        rows = tuple(ErasedRow(made.of_key(each), ((0, None),)) for each in keys)
        self._put(f"{SYSTEM}erasures/{made.id}/begun.json", msgspec.json.encode(msgspec.structs.replace(made, rows=rows)))
        self._put(f"{SYSTEM}erasures/{made.id}/done.json", b"{}")
        self._put(f"{SYSTEM}erasures/forgotten-{'0' * 32}.json", b"{}")

    def _erased_lines(self) -> None:
        """The next generation, of a set that lacks all lines: a record beside it says that they were erased."""
        compacted = Compacted(self._store, TABLE)
        with suppress(Damaged, IndexError):  # nothing was compacted
            before = compacted.current()
            old = self._random.choice(before.changes)
            empty, (body, _) = f"{before.number + 1:08d}-bbbbbbbbbbbb", frames.pack([])
            for place in range(old.partitions):
                self._put(f"{SYSTEM}compacted/{empty}/{place:05d}-of-{old.partitions:05d}.ndjson.zst", body)
            self._put(f"{SYSTEM}compacted/{empty}/sources.ndjson.zst", Codec.ZSTD.compress(b""))
            taken = ErasedLines(self._random.choice([AN_ERASURE, "x"]), {old.id: old.lines})
            self._put(f"{SYSTEM}compacted/{empty}/erased.json", msgspec.json.encode(taken))
            made = msgspec.structs.replace(old, id=empty, lines=0, size=0, erased=old.stands_for)
            sets = [made, *(each for each in before.sets if each != old)]
            following = msgspec.structs.replace(before, number=before.number + 1, sets=sets)
            self._put(f"{GENERATIONS}{following.number:08d}.json", *encode(following))

    def _beside(self) -> None:
        """What other commands keep in a vault, and what somebody may have exported into it."""
        name = self._random.choice(
            (
                "_backstream/~groups/shop.json",
                "_backstream/~server/proven.json",
                f"{SYSTEM}columns.json",
                f"{SYSTEM}drills/{10**10}.json",
                f"{SYSTEM}actors/dt=2026-01-01/hour=00/x.ndjson.zst",
                f"{SYSTEM}snapshots/x/AWSDynamoDB/manifest-summary.json",
                f"{SYSTEM}exports/x/_export.json",
                f"{SYSTEM}exports/x/00000.parquet",
            )
        )
        self._put(name, self._random.choice([b"", b"{", b"{}", b'{"format":1,"name":"shop","saved":"x","tables":["other"]}']))

    def _current(self) -> Catalog:
        return catalogs.current(self._store, TABLE).catalog

    def _catalog(self) -> None:
        catalog, second = self._current(), int(self._segments()[-1].modified) if self._segments() else 0
        life = catalogs.Life(second, "other", "", complete=True)
        made = self._random.choice(
            [
                msgspec.structs.replace(catalog, complete_from=second),
                msgspec.structs.replace(catalog, lives=(life,)),
                msgspec.structs.replace(catalog, signing=None),
                msgspec.structs.replace(catalog, complete_from=None),
                msgspec.structs.replace(catalog, horizon=horizon.at(second + self._random.randint(-7_200, 7_200), A_BASE)),
                msgspec.structs.replace(catalog, horizon=None),
                msgspec.structs.replace(catalog, erasures=(AN_ERASURE,)),
                msgspec.structs.replace(catalog, erasures=()),
                msgspec.structs.replace(catalog, forgotten="0" * 32),
                msgspec.structs.replace(catalog, keep=1),
            ]
        )
        self._put(catalogs.name_of(TABLE), catalogs.encode(made), self._metadata(catalogs.name_of(TABLE)))

    def _old_catalog(self) -> None:
        name = catalogs.name_of(TABLE)
        versions = [each.version for each in self._store.versions_of(name) if not each.marker]
        found = self._store.get(name, self._random.choice(versions[1:] or versions))
        for _ in range(self._random.randint(1, 2)):
            self._put(name, found.body, found.info.metadata)

    def _roll_back(self) -> None:
        """A copy of the whole vault from some time ago."""
        times = sorted({each.modified for each in self._store.versions("")})
        until = self._random.choice(times[len(times) // 2 :])
        for name, versions in list(self._store._versions.items()):
            kept = [each for each in versions if _received(each) <= until]
            if kept:
                self._store._versions[name] = kept
            else:
                del self._store._versions[name]


def _closable(gaps: Gaps) -> Iterator[First]:
    """The records of gaps that can be read, and that a compaction may close."""
    for each in gaps.records():
        with suppress(Damaged):  # one of his own
            gap = gaps.read(each)
            if gap.key is None and (gap.numbers or gap.batch or gap.differing is not None):
                yield each


def _of_line(line: FrameLine) -> bytes:
    return line.key


def _received(version: StoredObject | ObjectVersion) -> float:
    return version.info.modified if isinstance(version, StoredObject) else version.modified
