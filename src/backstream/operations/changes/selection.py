"""Selects the changes of a window that pass every requested filter."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from backstream import private_files
from backstream.errors import NotFound, NothingMatches, UsageError
from backstream.model.changes.change import EVENTS, is_sequence
from backstream.model.condition import Condition
from backstream.model.counts import counted
from backstream.model.values import wire
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.model.values.key_arguments import parse_key, parse_partition
from backstream.model.values.schema import KeySchema
from backstream.operations.changes.seen import SeenChange, changed
from backstream.operations.changes.window import ChangeWindow
from backstream.operations.inspect.actors import Actors
from backstream.operations.restore.selection import ConditionFilter, Filter, TenantFilter
from backstream.operations.restore.states.nearest import Nearest, scalar
from backstream.operations.restore.states.row_states import RowState
from backstream.vault.table_vault import TableVault

NAMED = 5


class Number(msgspec.Struct, frozen=True):
    """A change by its sequence number. `key`: the item's canonical key, None if only the number was given."""

    sequence: str
    key: bytes | None = None


class ChangeCriteria(msgspec.Struct, frozen=True):
    """The filters. `keys`: canonical keys; `where`: a condition on the item before or after the change; `numbers`: these changes.

    `attributes`: changes of one of these top-level attributes. A filter that is None or empty does not apply.
    """

    keys: Sequence[bytes] = ()
    partition: str | None = None
    tenant: str | None = None
    where: str | None = None
    events: Sequence[str] = ()
    actor: str | None = None
    attributes: Sequence[str] = ()
    numbers: Sequence[Number] | None = None

    @property
    def selects(self) -> bool:
        """True if not all changes are selected."""
        given = (self.partition, self.tenant, self.where, self.actor, self.numbers)
        return bool(self.keys or self.events or self.attributes) or any(each is not None for each in given)

    @property
    def only_numbers(self) -> bool:
        """True if single changes are named, and no other filter applies."""
        given = (self.partition, self.tenant, self.where, self.actor)
        others = self.keys or self.events or self.attributes or any(each is not None for each in given)
        return self.numbers is not None and not others

    @property
    def is_by_key(self) -> bool:
        """True if either all changes of an item are selected, or none."""
        given = (self.tenant, self.where, self.actor, self.numbers)
        return not (self.events or self.attributes) and all(each is None for each in given)

    @property
    def words(self) -> dict[str, str]:
        """Returns the filters in the spelling of the command line."""
        given = {
            "partition": self.partition,
            "tenant": self.tenant,
            "where": self.where,
            "event": ",".join(self.events) or None,
            "actor": self.actor,
            "attribute": ", ".join(self.attributes) if self.attributes else None,
        }
        words = {f"--{name}": value or "''" for name, value in given.items() if value is not None}
        if self.keys:
            words["--key"] = ", ".join(key.decode() for key in self.keys[:NAMED]) + _more(len(self.keys))
        if self.numbers is not None:
            words["--changes"] = ", ".join(each.sequence for each in self.numbers[:NAMED]) + _more(len(self.numbers))
        return words


def _more(count: int) -> str:
    return f" and {count - NAMED:,} more" if count > NAMED else ""


class ChangeSelection:
    """Decides change by change, and remembers other names that it saw, for a filter that matches nothing.

    `undecided`: the number of changes that were not selected by one image alone, because the other one is not known; `ambiguous`:
    the number of changes that several principals may have made, so that `--actor` does not select them.
    """

    def __init__(self, vault: TableVault, asked: ChangeCriteria, actors: Actors) -> None:
        """Raises UsageError if a filter cannot be parsed, or does not fit this table."""
        self._asked = asked
        self._actors = actors
        self._keys = frozenset(asked.keys)
        schema = vault.catalog.key_schema
        self._beginning = b"" if asked.partition is None else parse_partition(schema, asked.partition)
        self._hash = schema.hash.name
        self._partitions = Nearest(asked.partition or "")
        self._events = frozenset(events_of(asked.events))
        self._numbers = None if asked.numbers is None else {(each.sequence, each.key) for each in asked.numbers}
        self._awaited = set(self._numbers or ()) if asked.only_numbers else set[tuple[str, bytes | None]]()
        self._filters: list[Filter] = []
        if asked.tenant is not None:
            self._filters.append(TenantFilter(vault, asked.tenant))
        if asked.where is not None:
            self._filters.append(ConditionFilter(Condition(asked.where)))
        self._names = {name: Nearest(name) for name in asked.attributes}
        self._who = Nearest(asked.actor or "")
        self.undecided = self.ambiguous = 0
        self.is_all = not asked.selects
        self.is_by_key = asked.is_by_key

    @property
    def keys(self) -> frozenset[bytes] | None:
        """The only items that can be selected; None if any can."""
        return self._keys or None

    def may_be(self, key: bytes) -> bool:
        """True if an item's changes can be selected at all."""
        if not key.startswith(self._beginning):
            if self._partitions.wanting:
                self._partitions.add(scalar(wire.attribute(key, self._hash)))
            return False
        return not self._keys or key in self._keys

    def takes(self, seen: SeenChange) -> bool:
        """True if a change is selected.

        One whose images cannot be read is selected, unless its key, number or event rules it out: nobody can tell that it does not
        match.
        """
        if self.is_all:
            return True
        if not (self.may_be(seen.key) and self._by_number(seen) and self._by_kind(seen)):
            return False
        taken = self._by_images(seen)
        self.undecided += bool(seen.doubt) and not taken
        return taken

    def _by_number(self, seen: SeenChange) -> bool:
        if self._numbers is None:
            return True
        if not seen.is_numbered:
            return False
        places = {(seen.sequence, seen.key), (seen.sequence, None)}
        self._awaited -= places
        return not self._numbers.isdisjoint(places)

    def _by_kind(self, seen: SeenChange) -> bool:
        if self._events and seen.event not in self._events:
            return False
        if self._asked.actor is None:
            return True
        by = seen.gone or self._actors.is_by(seen, [self._asked.actor])
        if not by:
            self._who.add(self._actors.of(seen))
            self.ambiguous += self._actors.is_ambiguous(seen)
        return by

    def _by_images(self, seen: SeenChange) -> bool:
        if seen.gone:
            return True
        for each in self._filters:
            if not each.wants(seen.old, seen.new):
                each.rules_out(RowState(seen.key, None, seen.new or seen.old))  # so that it knows the names that there are
                return False
        return not self._names or self._by_attribute(changed(seen))

    def _by_attribute(self, names: Sequence[str]) -> bool:
        for nearest in self._names.values():
            for name in names if nearest.wanting else ():
                nearest.add(name)
        return any(name in self._names for name in names)

    def check_all_found(self, table: str, span: ChangeWindow) -> None:
        """Raises NotFound if changes were named one by one, and some of them are not in the window: they would stay unchanged."""
        if not self._awaited:
            return
        named = sorted(sequence for sequence, _ in self._awaited)
        raise NotFound(
            f"{counted(len(named), 'change')} of --changes not found in {table} from {span}: "
            f"{', '.join(named[:NAMED])}{_more(len(named))}",
            hint="Nothing was touched. Choose a window that holds all of them, or leave these out of the file.",
        )

    def nothing(self, table: str, span: ChangeWindow) -> NothingMatches:
        """Returns the error for a selection that matches no change."""
        words = " and ".join(f"{name} {value}" for name, value in self._asked.words.items())
        hints = [self._partitions.said(f"values of {self._hash} that changed")] if self._asked.partition is not None else []
        hints += [each.nearest() for each in self._filters]
        hints += [self._who.said("actors")] if self._asked.actor is not None else []
        hints += [each.said("attributes that changed") for each in self._names.values()]
        hints += [f"{each}." for each in doubts_about(self.undecided, self.ambiguous)]
        return NothingMatches(
            f"no change of {table} from {span} matches {words}",
            hint=" ".join(["Nothing was touched.", *(each for each in hints if each)]),
        )


def doubts_about(undecided: int, ambiguous: int) -> list[str]:
    """Returns notes about changes that may match and are not selected: see `ChangeSelection`. None if there are none."""
    notes = {
        "did not match by one of the item's two states: the vault does not hold the other one": undecided,
        "not selected by --actor: calls of several principals fit, `backstream blame` lists them": ambiguous,
    }
    return [f"{counted(count, 'change')} {words}" for words, count in notes.items() if count]


def events_of(events: Collection[str]) -> list[str]:
    """Returns the events. Raises UsageError if one is not an event."""
    known = (*EVENTS, "BACKFILL")
    for each in events:
        if each not in known:
            raise UsageError(f"not an event: {each!r}", hint=f"One or more of {', '.join(EVENTS)}, with commas between them.")
    return list(events)


# --- files ------------------------------------------------------------------------------------------------------------------------


def keys_in(path: Path, schema: KeySchema, table: str) -> list[bytes]:
    """Returns the canonical keys in a file, one per line: a key as on the command line, or a line of `changes --ndjson`.

    Lines of `changes` of several tables name their table: lines of other tables are passed over. Raises UsageError for other lines,
    and NothingMatches if all are of others.
    """
    found: list[bytes] = []
    others = 0
    for number, line in _lines(path):
        fields = _object(line)
        listed = fields is not None and "key" in fields and set(fields) != set(schema.names)
        if listed and _is_of_another(fields, table):
            others += 1
            continue
        text = bytes(fields["key"]).decode() if listed and fields is not None else line
        try:
            found.append(parse_key(schema, text))
        except UsageError as error:
            raise UsageError(f"{path}, line {number}: {error.message}", hint=error.hint) from error
    if not found and others:
        raise NothingMatches(f"{path} names no row of {table}", hint="Nothing was touched.")
    if not found:
        raise UsageError(f"{path} names no key", hint="One key a line, as in `changes --ndjson`.")
    return found


def numbers_in(path: Path, schema: KeySchema, table: str) -> list[Number]:
    """Returns the changes in a file, one per line: a line of `changes --ndjson`, or a sequence number.

    Lines that name another table are passed over, as in `keys_in`. Raises UsageError for other lines, NothingMatches if all are of
    other tables.
    """
    lines = _lines(path)
    own = [(number, line) for number, line in lines if not _is_of_another(_object(line), table)]
    found = [_number(path, number, line, schema) for number, line in own]
    if not found and lines:
        raise NothingMatches(f"{path} names no change of {table}", hint="Nothing was touched.")
    if not found:
        raise UsageError(f"{path} names no change", hint="One line of `changes --ndjson` each, or one sequence number.")
    return found


def _number(path: Path, number: int, line: str, schema: KeySchema) -> Number:
    if is_sequence(line.strip('"')):
        return Number(line.strip('"'))
    fields = _object(line)
    if fields is None:
        raise UsageError(
            f"{path}, line {number} is neither JSON nor a sequence number: {line[:80]!r}",
            hint="Give a file of lines of `changes --ndjson`, or of sequence numbers.",
        )
    if "changes" in fields and bytes(fields["changes"]) != b"1":
        raise UsageError(
            f"{path}, line {number} is of `changes --net`: it sums up several changes, and names the last one alone",
            hint="Name single changes by lines of `changes --ndjson`, or whole items by --keys FILE.",
        )
    try:
        sequence = msgspec.json.decode(fields["sequence"], type=str)
        key = fields.get("key")
        return Number(sequence, None if key is None else parse_key(schema, bytes(key).decode()))
    except KeyError as error:
        raise UsageError(f"{path}, line {number} has no sequence number") from error
    except (*UNDECODABLE, UsageError) as error:
        raise UsageError(f"{path}, line {number} is no change of the stream: {reason(error)}") from error


def _is_of_another(fields: dict[str, msgspec.Raw] | None, table: str) -> bool:
    """True if a line of `changes` names another table."""
    return fields is not None and "table" in fields and bytes(fields["table"]) != msgspec.json.encode(table)


def _object(line: str) -> dict[str, msgspec.Raw] | None:
    try:
        return msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except UNDECODABLE:
        return None


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        with path.open("rb") as file:
            lines = [line.decode().strip() for line in private_files.lines(file, path)]
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8") from error
    return [(number, line) for number, line in enumerate(lines, 1) if line]
