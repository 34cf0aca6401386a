"""Writes `docs/cli.md` from the command line itself: `make docs`. A test sees to it that the page is up to date."""

from __future__ import annotations

import sys
from typing import Any

import click

from backstream.apps.cli.commands import GROUPS, load

HEAD = """# The command line

Generated from the command line itself (`make docs`). Names, exit codes and JSON fields are a promise; more may come.

- `VAULT` is `s3://bucket/prefix` or `file:///folder`: `--vault`, or `BACKSTREAM_VAULT` from the environment.
- `MOMENT` is ISO 8601 with an offset or `Z`, epoch seconds, `15m ago` (s, m, h, d, w) or `now`. It means a whole second: a change
  made in that second is included.
- `KEY` is DynamoDB JSON, `{"id":{"S":"a"},"n":{"N":"5"}}`, or plain JSON where the table's key schema tells the types,
  `{"id":"a","n":5}`.
- `DURATION` is `90s`, `30m`, `2h` or `1d`.
- A default stands in brackets after the meaning: `[4]`.
- Reports go to stdout, progress and errors to stderr. `--debug`, anywhere, shows a traceback with an error.

| exit | meaning |
|---|---|
| 0 | everything was done |
| 1 | failed, or only partly done: what is left is named and can be resumed |
| 2 | usage error |
| 3 | differences or findings (`verify`, `diff`, `check`, `doctor`), a drill that failed, an objective missed |
| 4 | refused for safety |
| 130 | stopped by the user, cleanly |

## JSON

Every command that reports takes `--json`. Times are ISO 8601 in UTC. Keys and images are DynamoDB JSON.

| command | fields |
|---|---|
| `restore` | `table, at, target, put, deleted, unchanged, failed, dry_run, seconds`, `failures, warnings, left, settings`, `sets` (words), `todo` (an array of `what, why, command, failed`) |
| `revert` | `table, from, to, put, updated, deleted, unchanged, conflicts, failed, dry_run, seconds`, `conflicting` and `gone` (keys), `failures`, `undo` and `resume` (commands) |
| `history` | an array, oldest first: `time, sequence, event, actor, image`, and `actor_source` and `actors` if somebody is named ([who.md](who.md)) |
| `changes` | an array, or lines: `time, sequence, event, actor, key, before, after, changed`; with `--net` also `changes` (how many) |
| `changes --summary` | `table, from, to, items, changes, events, tenants, attributes, actors, step_seconds, times, busiest, certainty` |
| `blame` | `table, from, to, changes, matched, ambiguous, none, undelivered, dynamodb, files, events, newest_delivery, annotated, known, unreadable, notes, seconds`, `findings` (oldest first: `time, sequence, event, key, status, actor, actor_source, settled, why, calls`) |
| `status` | `table, layout, window_from, window_to, lag_seconds, gaps, last_drill`, `ranges, closed_gaps, base_backups, costs, failures, unseen` and sizes; without TABLE an array |
| `check` | `table, objects, versions, findings` and more ([verify.md](verify.md#its-findings)) |
| `verify` | `table, at, same, missing, extra, different, in_flight, failed, repaired, sample, seconds`, `keys` (an array for each kind but `same`), `failures, warnings` |
| `diff` | as `verify` without `sample`, with `table2, arn, arn2, read_units` ([diff.md](diff.md)) |
| `drill` | `table, at, rows, matched, differences, rpo_seconds, rto_seconds, passed`, `reasons, differing` and more ([verify.md](verify.md#its-report)) |
| `snapshot` | `table, at, id, url, items, files, bytes, failed, complete, seconds`, `failures, warnings` |
| `dump` | `table, id, url, items, files, bytes, segments, consistent, began, ended, read_units, seconds`, `warnings` ([snapshot.md](snapshot.md#dump)) |
| `backfill` | `table, id, kind, rows, written, segments, resumed, began, ended, exact_from, captured_to, read_units, seconds`, `warnings` |
| `witness` | `table, checked, missing, oldest_missing, gaps, proven_to, caught_up, waiting_for, throttled, seconds` |
| `redrive` | `table, source, batches, records, redriven, captured, given_up, not_found, dry_run`, `left` (an array of `batch, sequence, why`) |
| `erase` | `table, id, at, reason, keys, objects, lines, versions_removed, blocked_until, dry_run, seconds` and more ([erase.md](erase.md)) |
| `retain` | `table, horizon, removed_versions, removed_bytes, kept_bytes, dry_run, dollars_per_month, locked_versions, locked_until, locked_bytes, removed, notes, seconds, left, kept_states` |
| `export` | `table, kind, url, from, to, rows, files, bytes, columns, unfit, seconds`, `damaged, warnings`; Iceberg: `iceberg_table` and `commits` instead of `url` and `bytes` |
| `replicate` | `table, target, changes, copied, copied_whole, put, deleted, unchanged, gaps, lag_seconds, caught_up` |
| `migrate` | `table, migration, source, live, scanned, changed, deleted, unchanged, already, failed, conflicts, seconds`, `failures, warnings, changes`, `undo`, `back` and `resume` (commands) |
| `doctor` | `table, vault, checks, wrong, warnings, unknown` ([doctor.md](doctor.md)) |
"""  # noqa: E501 - rows of a table


def reference() -> str:
    """The whole page."""
    return HEAD + "".join(
        f"\n## {title}\n" + "".join(_section(name, load(name)) for name in group) for title, group in GROUPS.items()
    )


def _section(name: str, command: Any) -> str:
    arguments = [_argument(each) for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
    lines = [f"\n### {' '.join(['backstream', name, *arguments])}\n", f"{command.help.strip()}\n"]
    if options:
        context = click.Context(command)
        lines += ["| option | meaning |", "|---|---|", *(_option(each, context) for each in options)]
    return "\n".join(lines) + "\n"


def _argument(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return str(name if argument.required or name.startswith("[") else f"[{name}]")


def _option(option: Any, context: click.Context) -> str:
    value = "" if option.is_flag else f" {option.metavar}"
    names = [each for each in (*option.opts, *option.secondary_opts) if each.strip()]
    default = option.get_help_extra(context).get("default", "").removesuffix(".0")
    cells = [f"`{', '.join(names)}{value}`", f"{option.help or ''}{f' [{default}]' if default else ''}"]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(reference())
