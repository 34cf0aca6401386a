"""The command `backstream`: starts the command line, or says what to install for it."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

from backstream.version import __version__


def main() -> None:
    """Runs the command line, which needs the extra `cli`: the core stays small for Lambda.

    Only the version is printed without it: scripts ask for it, and the command line takes half a second of processor time to load.
    """
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"backstream {__version__}\n")
        return
    if find_spec("click") is None or find_spec("rich") is None:
        sys.stderr.write("The command line is not installed.\nRun: pip install 'backstream[cli]'\n")
        raise SystemExit(1)
    import_module("backstream.apps.cli.main").run()
