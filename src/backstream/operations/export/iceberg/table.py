"""One Iceberg table that follows one DynamoDB table: its position, its schema, and appends that happen exactly once.

The position is the last second whose changes are in the table. It stands in the table's properties and in each snapshot's, written
in the same commit as the rows. A commit counts only upon the snapshot that the position was read from: a second writer's fails.
"""

from __future__ import annotations

import itertools
import json
import secrets
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException, NoSuchTableError
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Snapshot, ancestors_of
from pyiceberg.types import BinaryType, BooleanType, DecimalType, IcebergType, StringType

from backstream.errors import ConditionNotMet, Refused, Unavailable
from backstream.model import moment
from backstream.model.columns.schema import Column, ColumnSchema
from backstream.model.values.numbers import MOST_DIGITS
from backstream.operations.export.iceberg.catalogs import explained
from backstream.operations.tabular.batches import arrow_schema

RETRIES = "commit.retry.num-retries"  # pyiceberg retries upon another writer's snapshot: then both commit the same changes
POSITION, SOURCE, KIND = "backstream.position", "backstream.source", "backstream.kind"
FROM, UNTIL = "backstream.from", "backstream.until"  # of a snapshot: the second before its first change, and its last second
WRITE = "backstream.write"  # of a snapshot: the id of the append that made it
MARK = 0xBAC5  # begins the names of our data files' sets
_TWICE = 1 << 40  # positions that a name has room for


def write_id(position: int) -> uuid.UUID:
    """Returns an id for the names of a commit's data files, which tells the position that the commit was made upon."""
    return uuid.UUID(int=MARK << 112 | (position % _TWICE) << 72 | secrets.randbits(72))


def position_in(name: str) -> int | None:
    """Returns the position in a data file's name; None if it is not one of ours."""
    try:
        number = uuid.UUID(name.rsplit("/", 1)[-1].removesuffix(".parquet")[-36:]).int
    except ValueError:
        return None
    return (number >> 72) % _TWICE if number >> 112 == MARK else None


class Source(msgspec.Struct, frozen=True):
    """The table whose changes an Iceberg table holds. `identity`: its ARN and its id; `earlier`: those that the same vault knew it
    by, before the table was deleted and created again.
    """

    identity: str
    earlier: tuple[str, ...] = ()


class IcebergTable:
    """`name`: `namespace.table`; `source`: whose changes it holds; `kind`: changes or state."""

    def __init__(self, catalog: Catalog, name: str, source: Source, kind: str, fixed: tuple[str, ...]) -> None:
        self._catalog = catalog
        self.name = name
        self._source = source
        self._kind = kind
        self._fixed = fixed
        self._table: Table | None = None

    @property
    def table(self) -> Table:
        """The table, as it was read last."""
        if self._table is None:
            raise RuntimeError("the table was not opened")
        return self._table

    def open(self, *, make: bool = True) -> bool:
        """Opens the table, or makes it if there is none. Returns False if there is none and none is to be made.

        Raises Refused if it is not a table of ours, holds another table's changes, or would be written twice.
        """
        with explained(f"the table {self.name}"):
            try:
                self._table = self._catalog.load_table(self.name)
            except NoSuchTableError:
                if not make:
                    return False
                self._table = self._make()
        self._check()
        return True

    def _make(self) -> Table:
        properties = {RETRIES: "0", SOURCE: self._source.identity, KIND: self._kind}
        self._catalog.create_namespace_if_not_exists(self.name.rpartition(".")[0])
        made = self._catalog.create_table_if_not_exists(
            self.name, schema=arrow_schema(self._fixed, ColumnSchema()), properties=properties
        )
        if made.current_snapshot() is None and not (SOURCE in made.properties or KIND in made.properties):
            # A catalog that leaves out the properties of a new table gets them before the first row. `_check` looks at them again.
            with made.transaction() as under_way:
                under_way.set_properties(properties)
        return made

    def _check(self) -> None:
        found = self.table.properties
        ours = (self._source.identity, *self._source.earlier)
        for name, wanted in ((SOURCE, ours), (KIND, (self._kind,))):
            if (held := found.get(name, "missing")) not in wanted:
                raise Refused(
                    f"the Iceberg table {self.name} is not the one of these changes: its {name} is {held}",
                    hint=f"{self.name} has {held}, expected {wanted[0]}; nothing was written. "
                    "Names that are alike but for capitals and signs become one: choose another with --as NAMESPACE.NAME.",
                )
        if found.get(RETRIES) != "0":
            raise Refused(
                f"the Iceberg table {self.name} has {RETRIES}={found.get(RETRIES, 'unset')}: changes could be appended twice",
                hint="Set it to 0 again: two writers at once would both commit. Nothing was written.",
            )
        self._check_history()

    def _check_history(self) -> None:
        """Raises Refused if the rows were rolled back behind the position: what follows it would leave a hole."""
        last = next((each for each in self._ancestors() if UNTIL in _summary(each)), None)
        if last is not None and self.table.properties.get(POSITION) != _summary(last)[UNTIL]:
            raise Refused(
                f"the Iceberg table {self.name} was rolled back: its rows end at {_summary(last)[UNTIL]}, "
                f"its {POSITION} is {self.table.properties.get(POSITION)}",
                hint=f"Set {POSITION} to the moment of the rows, and run it again.",
            )

    def _ancestors(self) -> Iterator[Snapshot]:
        current = self.table.current_snapshot()
        return iter(()) if current is None else iter(ancestors_of(current, self.table.metadata))

    @property
    def position(self) -> int | None:
        """The last second whose changes are in the table; None if there are none yet."""
        text = self.table.properties.get(POSITION)
        if text is None:
            return None
        try:
            return moment.parse_iso_micros(text) // 1_000_000
        except ValueError as error:
            raise Refused(f"the Iceberg table {self.name} has a {POSITION} that is no time: {text!r}") from error

    def append(self, batches: Iterable[pa.RecordBatch], columns: ColumnSchema, since: int, until: int, most: int) -> int:
        """Appends the changes after second `since`, up to and including `until`, in one commit. Returns the number of data files.

        `most`: the bytes of a data file in memory. Raises ConditionNotMet if another writer has committed meanwhile; then nothing
        was appended.
        """
        self.open()
        if self.position not in (None, since):
            raise self._moved()
        written, count = write_id(since), 0
        with _Commit(self, written), self.table.transaction() as under_way:
            self._add_columns(under_way, columns)
            under_way.set_properties({POSITION: moment.iso(until), SOURCE: self._source.identity})
            with under_way.update_snapshot(snapshot_properties=_moments(since, until, written)).fast_append() as files:
                _keep_manifests(files)
                for file in self._written(under_way, batches, written, most):
                    files.append_data_file(file)
                    count += 1
        return count

    def replace(self, batches: Iterable[pa.RecordBatch], columns: ColumnSchema, at: int, most: int) -> int:
        """Replaces all rows by a state's rows, in one commit. Returns the number of data files. Raises ConditionNotMet."""
        self.open()
        written, count = write_id(at), 0
        with _Commit(self, written), self.table.transaction() as under_way:
            self._add_columns(under_way, columns)
            under_way.set_properties({POSITION: moment.iso(at), SOURCE: self._source.identity})
            old = [each.file for each in self.table.scan().plan_files()]
            with under_way.update_snapshot(snapshot_properties=_moments(None, at, written)).overwrite() as files:
                _keep_manifests(files)
                for file in old:
                    files.delete_data_file(file)
                for file in self._written(under_way, batches, written, most):
                    files.append_data_file(file)
                    count += 1
        return count

    def has_write(self, written: uuid.UUID) -> bool:
        """Returns True if the table, read anew, has the snapshot of that append: its answer was lost, but not its rows."""
        self.open()
        return any(_summary(each).get(WRITE) == str(written) for each in self._ancestors())

    def _moved(self) -> ConditionNotMet:
        return ConditionNotMet(
            f"the Iceberg table {self.name} has another writer: it has committed meanwhile, and nothing was appended"
        )

    def _written(
        self, under_way: Transaction, batches: Iterable[pa.RecordBatch], written: uuid.UUID, most: int
    ) -> Iterator[DataFile]:
        """Writes data files and yields them, one at a time: pyiceberg's own stream of batches holds all of them in memory."""
        number = itertools.count()
        for together in _tables(batches, most):
            yield from _dataframe_to_data_files(
                table_metadata=under_way.table_metadata, df=together, io=self.table.io, write_uuid=written, counter=number
            )

    def _add_columns(self, under_way: Transaction, columns: ColumnSchema) -> None:
        known = {field.name: field.field_type for field in self.table.schema().fields}
        wrong = [each.name for each in columns.columns if each.name in known and known[each.name] != iceberg_type(each)]
        if wrong:
            raise Refused(f"the Iceberg table {self.name} has columns of another type: {', '.join(wrong)}")
        missing = [each for each in columns.columns if each.name not in known]
        if missing:
            with under_way.update_schema() as update:
                for each in missing:
                    update.add_column(each.name, iceberg_type(each), doc=doc_of(each))


class _Commit:
    """The `with` block of a commit: tells another writer's commit, and an answer that was lost, from a failure.

    A lost answer may also look like another writer's commit: an SDK sends the request again, and the table has changed meanwhile.
    """

    def __init__(self, table: IcebergTable, written: uuid.UUID) -> None:
        self._table = table
        self._written = written
        self._explained = explained(f"the table {table.name}")

    def __enter__(self) -> None:
        self._explained.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, (CommitFailedException, CommitStateUnknownException)):
            if self._table.has_write(self._written):
                return True
            if isinstance(error, CommitFailedException):
                raise self._table._moved() from error  # noqa: SLF001 - of this module
            raise Unavailable(f"the table {self._table.name}: {error}", hint="Run it again: it goes on from the last snapshot.")
        return bool(self._explained.__exit__(kind, error, trace))  # type: ignore[arg-type]


def _keep_manifests(files: Any) -> None:
    """Stops pyiceberg from deleting the manifests of a commit that the catalog has refused. They are orphans then.

    A refused commit may be in the table all the same: an SDK that got no answer sends it again, and the second one is refused.
    Without its manifests the table could not be read any more (findings/pyiceberg-deletes-manifests-in-use.sh).
    """
    files._clean_all_uncommitted = lambda: None  # noqa: SLF001 - there is no other way to stop it


def _tables(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.Table]:
    together, size = list[pa.RecordBatch](), 0
    for each in batches:
        if together and size + each.nbytes > most:
            yield pa.Table.from_batches(together)
            together, size = [], 0
        together.append(each)
        size += each.nbytes
    if together:
        yield pa.Table.from_batches(together)


def _summary(snapshot: Snapshot) -> Mapping[str, str]:
    return {} if snapshot.summary is None else snapshot.summary.additional_properties


def _moments(since: int | None, until: int, written: uuid.UUID) -> dict[str, str]:
    first = {} if since is None else {FROM: moment.iso(since)}
    return {**first, UNTIL: moment.iso(until), WRITE: str(written)}


def iceberg_type(column: Column) -> IcebergType:
    """Returns the Iceberg type of a typed column."""
    if column.scale is not None:
        return DecimalType(MOST_DIGITS, column.scale)
    return {"B": BinaryType(), "BOOL": BooleanType()}.get(column.type, StringType())


def doc_of(column: Column) -> str:
    """Returns a column's description: the attribute's true name and type, as JSON."""
    return json.dumps({"attribute": column.attribute, "type": column.type}, ensure_ascii=False)
