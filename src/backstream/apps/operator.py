"""Identifies the user who runs this process, for reports that others read."""

from __future__ import annotations

import getpass
import socket

from backstream.apps.config import Config
from backstream.errors import BackstreamError


def operator(config: Config) -> str:
    """Returns the ARN of the credentials if AWS returns it (GetCallerIdentity needs no permission), else user and machine."""
    try:
        return str(config.account.identity()["Arn"])
    except (BackstreamError, KeyError):
        return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "unknown"
