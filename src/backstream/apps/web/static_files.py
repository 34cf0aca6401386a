"""Styles, script and icon: a few files of the wheel, read once and found by their names alone."""

from __future__ import annotations

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

TYPES = {"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}


class StaticFiles:
    """Answers `GET /static/NAME`."""

    def __init__(self) -> None:
        folder = files("backstream.apps.web") / "static"
        self._bodies = {name: (folder / name).read_bytes() for name in TYPES}

    async def __call__(self, request: Request) -> Response:
        """Returns the file of that name; 404 for any other."""
        name = request.path_params["name"]
        if name not in self._bodies:
            return Response(status_code=404)
        return Response(self._bodies[name], media_type=TYPES[name])
