"""The scratch table: created for one drill, and deleted when that ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from backstream.errors import AccessDenied, BackstreamError, Failed, MissingTable, TargetNotEmpty
from backstream.model.tables import naming
from backstream.model.tables.creation import on_demand
from backstream.model.values.schema import KeySchema
from backstream.operations.drill.limits import Limit
from backstream.operations.restore.targets.table_setup import exists
from backstream.ports import Table

LONGEST = 255  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html


def name_for(table: str, drill: str) -> str:
    """Returns a name that nobody else will choose: the table's, as far as there is room, and the drill's id."""
    ending = f"-drill-{drill}"
    return table[: LONGEST - len(ending)] + ending


def check_free(table: Table) -> None:
    """Raises TargetNotEmpty if the table exists: it is somebody's, and a scratch table is deleted in the end."""
    naming.check_table_name(table.name)
    if exists(table):
        raise TargetNotEmpty(
            f"there is a table {table.name} already: a drill makes its scratch table itself, and deletes it",
            hint="Give --scratch another name, or none. If an interrupted drill left it: "
            f"aws dynamodb delete-table --table-name {table.name}",
        )


@contextmanager
def scratch_table(table: Table, schema: KeySchema, *, keep: bool, own_name: bool, limit: Limit = nullcontext) -> Iterator[None]:
    """Creates the table, and deletes it whatever happens, unless it must be kept. Raises Failed with the command, if it cannot be
    deleted.

    `own_name`: True if nobody else can have chosen its name. Then an existing table was created by a request whose answer was lost;
    otherwise it is somebody's, created this very moment. `limit`: the time for creating it; deleting it has no limit.
    """
    try:
        with limit():
            table.create(on_demand(schema))
    except TargetNotEmpty as error:
        if own_name:
            _remove(table, error)
        raise
    except BaseException as error:
        _remove(table, error)
        raise
    try:
        yield
    except BaseException as error:
        _remove(table, error)
        raise
    if not keep:
        _remove(table)


def _remove(table: Table, before: BaseException | None = None) -> None:
    """Deletes the table. `before`: an earlier error, which must not be lost if deleting fails."""
    try:
        _delete(table)
    except BaseException as error:  # a second Ctrl-C too: whatever stops it, the table's owner must know
        raise Failed(
            f"THE SCRATCH TABLE {table.name} IS STILL THERE: {_said(error)}"
            + ("" if before is None else f"; before that: {_said(before)}"),
            hint=f"Delete it: aws dynamodb delete-table --table-name {table.name}",
        ) from error


def _delete(table: Table) -> None:
    """Deletes the table without asking for it first: DescribeTable may not know a table yet that was just requested."""
    try:
        table.delete()
    except MissingTable:
        return  # gone, or never made: what was wanted
    except AccessDenied:
        if exists(table):
            raise


def _said(error: BaseException) -> str:
    return error.message if isinstance(error, BackstreamError) else str(error) or type(error).__name__
