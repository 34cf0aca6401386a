"""The ASGI application: every screen under its address, behind the guard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from backstream.apps.config import Config
from backstream.apps.web.access.guard import Guard
from backstream.apps.web.access.sessions import Secrets
from backstream.apps.web.access.settings import WebSettings, doorkeeper_of
from backstream.apps.web.screens import drills, item, plan, runs, state, table, tables
from backstream.apps.web.site import Site
from backstream.apps.web.static_files import StaticFiles
from backstream.errors import BackstreamError

Screen = Callable[[Site, Request], Awaitable[Response]]

HINT = "Begin at the vault's own: /."
READING: tuple[tuple[str, Screen], ...] = (
    ("/", tables.vault),
    ("/t/{table}", table.table),
    ("/t/{table}/facts", table.facts),
    ("/t/{table}/changes", table.changes),
    ("/t/{table}/kinds", table.counts),
    ("/t/{table}/item", item.item),
    ("/t/{table}/state", state.state),
    ("/t/{table}/drills", drills.drills),
    ("/t/{table}/drills/{drill}", drills.drill),
    ("/t/{table}/plan", plan.form),
    ("/plans/{plan}", plan.show),
    ("/plans/{plan}/file", plan.download),
    ("/runs", runs.runs),
    ("/runs/{run}", runs.run),
)
SENDING: tuple[tuple[str, Screen], ...] = (
    ("/t/{table}/choose", table.choose),
    ("/t/{table}/item", item.find),
    ("/t/{table}/state", state.choose),
    ("/t/{table}/plan", plan.make),
    ("/t/{table}/restore", plan.make_new),
    ("/plans/{plan}/run", plan.run),
    ("/runs/left", runs.go_on),
    ("/runs/{run}/stop", runs.stop),
)


class Application:
    """The whole application. `site`: the common parts of its screens, to be closed at the end."""

    def __init__(self, config: Config, settings: WebSettings, secrets: Secrets, cookie: str) -> None:
        self.site = Site(config, settings, secrets)
        routes: list[BaseRoute] = [Route("/static/{name}", StaticFiles().__call__, methods=["GET"])]
        routes += [Route(path, self._endpoint(screen), methods=["GET"]) for path, screen in READING]
        routes += [Route(path, self._endpoint(screen), methods=["POST"]) for path, screen in SENDING]
        sent, read = ({path for path, _ in each} for each in (SENDING, READING))
        routes += [Route(path, self._only_sent, methods=["GET"]) for path in sorted(sent - read)]
        routes += [Route(path, self._only_read, methods=["POST"]) for path in sorted(read - sent)]
        router = Router(routes, redirect_slashes=False, default=self._nothing)
        self.asgi = Guard(router, settings, doorkeeper_of(settings, secrets, cookie), secrets, cookie, self.site.problem)

    def _endpoint(self, screen: Screen) -> Callable[[Request], Awaitable[Response]]:
        return partial(self._answer, screen)

    async def _answer(self, screen: Screen, request: Request) -> Response:
        try:
            return await screen(self.site, request)
        except BackstreamError as error:
            return self.site.failed(error)

    async def _only_sent(self, request: Request) -> Response:
        del request
        return self._other_way("this is the address of a form, which is sent from its screen", "POST")

    async def _only_read(self, request: Request) -> Response:
        del request
        return self._other_way("this screen takes no form", "GET, HEAD")

    def _other_way(self, what: str, allowed: str) -> Response:
        return HTMLResponse(self.site.problem(405, what, HINT), 405, {"Allow": allowed})

    async def _nothing(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = HTMLResponse(self.site.problem(404, "there is no such screen", HINT), 404)
        await page(scope, receive, send)
