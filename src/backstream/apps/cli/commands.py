"""The commands by the task that they serve, each loaded when it is called: `--help` and completion read this list alone."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Command(NamedTuple):
    """Where a command is defined: a module of this package, and what `backstream --help` says of it in one line."""

    module: str
    summary: str


# In the order of `backstream --help`.
GROUPS: Mapping[str, Mapping[str, Command]] = {
    "Set up": {
        "init": Command("set_up.capturing", "Prepare a vault for a table: check table, stream and bucket, write the catalog."),
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
        "status": Command("look.looking", "Show layout, recovery window, lag, gaps, sizes and the last drill."),
        "history": Command("look.looking", "List every version of an item."),
        "changes": Command("look.changes", "List every change between two moments, and what it changed."),
        "show": Command("look.looking", "Print an item as it was at a moment."),
        "blame": Command("look.blaming", "Show which principal made each change, by CloudTrail."),
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
        "filter": Command("move.migrating", "Run the same function over lines of DynamoDB JSON."),
    },
    "Operate": {
        "compact": Command("operate.compacting", "Merge the log's small objects, so that histories and restores stay fast."),
        "rebuild": Command("set_up.capturing", "Rebuild the change log from the row objects (rows layout)."),
        "demo": Command("operate.demonstrating", "Capture, ruin and restore a day of real flights on embedded servers."),
    },
}
ALL: Mapping[str, Command] = {name: command for group in GROUPS.values() for name, command in group.items()}


class Commands(TyperGroup):
    """The group of all commands: only the one that is called is imported."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the group's own signature
        """The names of all commands, in the order of the help."""
        return list(ALL)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the group's own signature
        """The command of that name, loaded now; None if there is none."""
        return load(cmd_name) if cmd_name in ALL else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first argument names. An unknown name is a usage error, which names those that are close to it."""
        self.commands = dict.fromkeys(ALL, self)  # read for its names alone, to suggest one that is close
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the group's own signature
        """Write each group with its commands. Summaries wrap; none is cut."""
        width = max(map(len, ALL))
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", command.summary) for name, command in group.items()])


class Verb(TyperCommand):
    """One command. Its usage line names arguments as manuals do: `TABLE`, and `[TABLE]` where it may be left out."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the command's own signature
        """The words of the usage line."""
        arguments: list[Any] = [each for each in self.params if each.param_type_name == "argument"]
        return ["[OPTIONS]", *(each.metavar for each in arguments)]


def load(name: str) -> Any:
    """The command of that name, out of its module."""
    app = typer.Typer(rich_markup_mode=None)
    app.callback()(lambda: None)
    import_module(f"backstream.apps.cli.{ALL[name].module}").add_to(app)
    for each in app.registered_commands:
        each.cls = Verb
    group: Any = typer.main.get_group(app)
    return group.commands[name]
