"""`demo`: all of it, on servers of its own, with real data."""

from __future__ import annotations

import signal
from typing import Annotated

from backstream.apps.cli.declaring import Option
from backstream.apps.cli.output import notice
from backstream.apps.demo import story


def demo(
    *,
    stay: Annotated[
        bool, Option("--stay", help="Then leave a night to undo, and show it in a browser; needs the extra web.")
    ] = False,
) -> None:
    """A day of flights is captured, ruined by a bad deploy, and brought back; about a minute, AWS is not touched."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C: what was started is ended, what was written is removed
    try:
        if stay:
            story.tell(stay=True)
        else:
            story.tell()
    except KeyboardInterrupt:
        notice("stopped: the servers are ended, nothing stays behind")
        raise
