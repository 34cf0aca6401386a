"""The command `backstream`: its commands, its errors as one or two lines, its exit codes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from backstream.apps import plain_http
from backstream.apps.cli.commands import Commands
from backstream.apps.cli.output import hint, notice
from backstream.apps.interrupting import again_in_a_moment, is_in_finalizer
from backstream.errors import BackstreamError, UsageError
from backstream.model.values.visible import visible
from backstream.version import __version__

STOPPED = 130
PRIVATE = 0o077
DEBUG = "--debug"
ALONE = {"--read-data": "--read-data=100"}  # an option whose value may be left out

app = typer.Typer(
    name="backstream",
    help="A time machine for DynamoDB: every change kept in S3, any row, tenant or table back to any second.",
    cls=Commands,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"backstream {__version__}")
        raise typer.Exit


@app.callback()
def main(
    *,
    _debug: Annotated[bool, typer.Option(DEBUG, help="Show a traceback with an error; may stand anywhere.")] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", is_eager=True, callback=lambda wanted: _print_version(wanted=wanted)
        ),
    ] = False,
) -> None:
    """A time machine for DynamoDB."""


def run() -> None:
    """The process's entry: errors become one or two lines on stderr and the exit code of their class."""
    listen()
    keep_private()
    sys.exit(call(sys.argv[1:]))


def keep_private() -> None:
    """What is written from now on is for this user alone: files hold items and keys. A stricter umask stays."""
    os.umask(os.umask(PRIVATE) | PRIVATE)


def listen() -> None:
    """From now on SIGINT and SIGTERM are one: nothing half-done is left behind."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(each, _stop)


def _stop(_number: int, frame: FrameType | None) -> None:
    """KeyboardInterrupt, at once. But Python swallows what is raised within a finalizer: then a moment later."""
    if is_in_finalizer(frame):
        again_in_a_moment()
        return
    raise KeyboardInterrupt


def call(words: Sequence[str]) -> int:
    """Do what these words say and return the exit code: the command line without its process."""
    debug = DEBUG in words
    plain_http.begin()
    try:
        result = app(
            [ALONE.get(word, word) for word in words if word != DEBUG] or ["--help"], prog_name="backstream", standalone_mode=False
        )
    except BackstreamError as error:
        _say(error, debug=debug)
        return error.exit_code
    except KeyboardInterrupt:  # a command's own is typer's to catch: it returns the same code
        return STOPPED
    except typer.TyperException as error:
        notice(f"error: {error.format_message()}")
        notice("See `backstream --help`, or `backstream COMMAND --help`.")
        return UsageError.exit_code
    except BrokenPipeError:
        return 1  # who read our report has gone away
    except Exception as error:  # noqa: BLE001 - the last line of defence: a defect of ours must still end with a word and a code
        _say_defect(error, debug=debug)
        return 1
    return result if isinstance(result, int) else 0


def _say(error: BackstreamError, *, debug: bool) -> None:
    if debug:
        sys.stderr.write(visible("".join(traceback.format_exception(error))))
    notice(f"error: {error.message}")
    if error.hint:
        hint(error.hint)


def _say_defect(error: Exception, *, debug: bool) -> None:
    if debug:
        sys.stderr.write(visible("".join(traceback.format_exception(error))))
    notice(f"error: {type(error).__name__}: {error}")
    notice("This is a defect of Backstream: please report it, with what --debug shows.")
