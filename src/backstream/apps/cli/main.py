"""The command `backstream`: its commands, its errors as one or two lines, its exit codes."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import click

from backstream.apps.aws import plain_http
from backstream.apps.cli import completion
from backstream.apps.cli.commands import Commands
from backstream.apps.cli.declaring import HELP
from backstream.apps.cli.screen import Screen
from backstream.apps.interrupting import raise_when_harmless
from backstream.errors import BackstreamError, UsageError
from backstream.model.values.visible import visible, visible_json
from backstream.version import __version__

STOPPED = 130
PRIVATE = 0o077
DEBUG = "--debug"
JSON = "--json"
ALONE = {"--read-data": "--read-data=100"}  # an option whose value may be left out

err = Screen(stderr=True)


def print_version() -> None:
    """Prints the version."""
    sys.stdout.write(f"backstream {__version__}\n")


def alone(act: Callable[[], None]) -> dict[str, Any]:
    """Returns click's settings for an option that does something and exits, whatever else was given."""

    def called(context: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's own signature
        if wanted:
            act()
            context.exit()

    return {"is_flag": True, "is_eager": True, "expose_value": False, "callback": called}


app = Commands(
    "backstream",
    help="A time machine for DynamoDB: every change kept in S3, any row, tenant or table back to any second.",
    context_settings=HELP,
    params=[
        click.Option([DEBUG], is_flag=True, expose_value=False, help="Show a traceback with an error; may stand anywhere."),
        click.Option(["--version"], **alone(print_version), help="Print the version and end."),
        click.Option(["--install-completion"], **alone(completion.install), help="Install completion for the current shell."),
        click.Option(
            ["--show-completion"],
            **alone(completion.print_script),
            help="Show completion for the current shell, to copy it or customize the installation.",
        ),
    ],
)


def run() -> None:
    """Runs the process: errors become one or two lines on stderr and the exit code of their class."""
    listen()
    keep_private()
    if completion.VARIABLE in os.environ:
        sys.exit(completion.answer(app, os.environ[completion.VARIABLE]))
    try:
        code = call(sys.argv[1:])
        _be_deaf()
    except KeyboardInterrupt:
        _be_deaf()
        code = STOPPED
    sys.exit(code)


def keep_private() -> None:
    """Makes new files private to this user, because they hold items and keys. A stricter umask stays."""
    os.umask(os.umask(PRIVATE) | PRIVATE)


def listen() -> None:
    """Makes SIGTERM equal to SIGINT from now on: nothing half-done is left behind."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(each, _stop)


def _be_deaf() -> None:
    """Ignores signals while the interpreter ends, so that the command's exit code stays."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(each, signal.SIG_IGN)


def _stop(_number: int, frame: FrameType | None) -> None:
    """Raises KeyboardInterrupt at once, or a moment later where an error would be lost or leave a lock held."""
    raise_when_harmless(frame, KeyboardInterrupt)


def call(words: Sequence[str]) -> int:
    """Runs these arguments and returns the exit code: the command line without its process."""
    debug, report = DEBUG in words, _say_as_json if JSON in words else _say
    plain_http.begin()
    try:
        return _invoke([ALONE.get(word, word) for word in words if word != DEBUG] or ["--help"])
    except BackstreamError as error:
        _show_traceback(error, debug=debug)
        report(type(error).__name__, error.message, error.hint, error.exit_code)
        return error.exit_code
    except KeyboardInterrupt:
        return STOPPED
    except click.ClickException as error:
        hint = "See `backstream --help`, or `backstream COMMAND --help`."
        report(UsageError.__name__, error.format_message(), hint, UsageError.exit_code)
        return UsageError.exit_code
    except BrokenPipeError:
        return 1  # who read our report has gone away
    except Exception as error:  # noqa: BLE001 - the last line of defence: a defect of ours must still end with a word and a code
        _show_traceback(error, debug=debug)
        hint = "This is a defect of Backstream: please report it, with the output of --debug."
        report("Defect", f"{type(error).__name__}: {error}", hint, 1)
        return 1


def _invoke(words: Sequence[str]) -> int:
    """Returns the command's result; 0 if it returns nothing, or if only its help was requested."""
    try:
        with app.make_context("backstream", list(words)) as context:
            result = app.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    return result if isinstance(result, int) else 0


def _show_traceback(error: Exception, *, debug: bool) -> None:
    if debug:
        sys.stderr.write(visible("".join(traceback.format_exception(error))))


def _say(_kind: str, message: str, hint: str, _exit_code: int) -> None:
    """Prints an error for people: the error, and the next step."""
    err.print(f"error: {message}")
    if hint:
        for each in hint.split("\n"):
            err.print(each)


def _say_as_json(kind: str, message: str, hint: str, exit_code: int) -> None:
    """Prints an error for programs: one line of JSON on stderr. A report on stdout, printed before, stays valid JSON."""
    told = {"error": {"kind": kind, "message": message, "hint": hint, "exit_code": exit_code}}
    sys.stderr.write(visible_json(json.dumps(told).encode()).decode() + "\n")
