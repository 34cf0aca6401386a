"""Forms that change a table: only if that is allowed, and only with its name typed."""

from __future__ import annotations

import msgspec
from starlette.requests import Request

from backstream.apps.web.site import Site, field
from backstream.errors import Refused


class Deed(msgspec.Struct, frozen=True):
    """Something that writes to a table of this name."""

    name: str


def check_deed(site: Site, request: Request, deed: Deed) -> None:
    """Raises Refused in read-only mode, and if the typed name is not the name of the table to be written."""
    if not site.settings.allow_restore:
        raise Refused(
            "this server is read-only: nothing was written",
            hint="Copy the command, or start it with `backstream web --allow-restore`.",
        )
    if field(request, "confirm") != deed.name:
        raise Refused("nothing was written: the name that was typed is not the table's", hint=f"Type {deed.name} to go on.")
