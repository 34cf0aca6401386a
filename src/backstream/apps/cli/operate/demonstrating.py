"""`demo`: all of it, on servers of its own, with real data."""

from __future__ import annotations

import signal

from backstream.apps.cli.output import notice
from backstream.apps.demo import story


def demo() -> None:
    """A day of flights is captured, ruined by a bad deploy, and brought back; about a minute, AWS is not touched."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C: what was started is ended, what was written is removed
    try:
        story.tell()
    except KeyboardInterrupt:
        notice("stopped: the servers are ended, nothing stays behind")
        raise
