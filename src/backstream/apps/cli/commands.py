"""The commands grouped by task. Each is loaded when it is called: `--help` and completion read only this list."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import NamedTuple

import click

from backstream.apps.cli.declaring import Verb, command_of


class Command(NamedTuple):
    """The place of a command: a module of this package, and its one-line summary in `backstream --help`."""

    module: str
    summary: str
    function: str = ""  # in that module; without, it has the command's own name


# In the order of `backstream --help`.
GROUPS: Mapping[str, Mapping[str, Command]] = {
    "Set up": {
        "init": Command("set_up.capturing", "Prepare a vault for a table: check table, stream and bucket, write the catalog."),
        "group": Command("set_up.grouping", "Name the tables of one application, for commands over all of them."),
        "backfill": Command("set_up.backfilling", "Make a base backup of the table's current contents."),
        "template": Command("set_up.templating", "Print a CloudFormation or Terraform template of the deployment."),
        "doctor": Command("set_up.doctoring", "Check permissions, bucket, table, stream, capture, clock and deployment."),
    },
    "Capture": {
        "tail": Command("set_up.capturing", "Follow a table's stream into the vault."),
        "witness": Command("prove.witnessing", "Check the stream against the vault and prove the recovery window."),
        "redrive": Command("operate.redriving", "Bring back the batches that Lambda discarded."),
    },
    "Look": {
        "status": Command("look.inspecting", "Show layout, recovery window, lag, gaps, sizes and the last drill."),
        "history": Command("look.inspecting", "List every version of an item."),
        "changes": Command("look.changes", "List every change between two moments, and what it changed."),
        "show": Command("look.inspecting", "Print an item as it was at a moment."),
        "export": Command("look.exporting", "Write changes, or a state, as typed tables."),
        "blame": Command("look.blaming", "Show which principal made each change, by CloudTrail."),
        "sql": Command("look.querying", "Query the history in SQL: changes, states, versions, gaps."),
        "web": Command("look.browsing", "Show history in a browser, on this machine, read-only."),
    },
    "Restore": {
        "restore": Command("restore.restoring", "Restore rows, a tenant or the whole table to a second."),
        "revert": Command("restore.reverting", "Undo exactly the changes of a window, and keep everything else."),
        "snapshot": Command("restore.snapshotting", "Write the state at a moment in AWS's export format."),
    },
    "Prove": {
        "check": Command("prove.checking", "Check the whole vault against its own claims."),
        "verify": Command("prove.verifying", "Compare the vault with the live table."),
        "drill": Command("prove.drilling", "Test a restore in a scratch table; measure RPO and RTO."),
    },
    "Move and change tables": {
        "replicate": Command("move.replicating", "Keep another table like this one, from its stream."),
        "diff": Command("move.comparing", "Compare two live tables."),
        "dump": Command("move.dumping", "Copy a table's items into files of DynamoDB JSON."),
        "migrate": Command("move.migrating", "Run a Python function over every item of a table."),
        "filter": Command("move.migrating", "Run the same function over lines of DynamoDB JSON.", "filter_lines"),
    },
    "Operate": {
        "compact": Command("operate.compacting", "Merge the log's small objects, so that histories and restores stay fast."),
        "retain": Command("operate.retaining", "Remove old history; every later moment stays restorable."),
        "erase": Command("operate.erasing", "Remove items from all history for good, and prove it."),
        "rebuild": Command("set_up.capturing", "Rebuild the change log from the row objects (rows layout)."),
        "demo": Command("operate.demonstrating", "Capture, ruin and restore a day of real flights on embedded servers."),
    },
}
ALL: Mapping[str, Command] = {name: command for group in GROUPS.values() for name, command in group.items()}


class Commands(click.Group):
    """The group of all commands. Only the called one is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        """Returns the names of all commands, in the order of the help."""
        return list(ALL)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Verb | None:  # noqa: ARG002 - click's own signature
        """Returns the command of that name, loaded now; None if there is none."""
        return load(cmd_name) if cmd_name in ALL else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Returns the command that the first argument names. An unknown name is a usage error, which names similar commands."""
        if args[0] in ALL:
            return super().resolve_command(ctx, args)
        close = " or ".join(repr(each) for each in get_close_matches(args[0], ALL))
        raise click.UsageError(f"No such command {args[0]!r}.{f' Did you mean {close}?' if close else ''}", ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options, then each group with its commands. Summaries wrap; none is cut."""
        click.Command.format_options(self, ctx, formatter)
        width = max(map(len, ALL))
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", command.summary) for name, command in group.items()])


def load(name: str) -> Verb:
    """Loads the command of that name from its module."""
    command = ALL[name]
    return command_of(name, getattr(import_module(f"backstream.apps.cli.{command.module}"), command.function or name))
