"""Drills: the last restore tests of a table, and their trend."""

from __future__ import annotations

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from backstream.apps.pages.chart import ChartBar, chart
from backstream.apps.web.background.stopping import StopToken
from backstream.apps.web.site import Site
from backstream.vault.drills import Held

SHOWN = 60


async def drills(site: Site, request: Request) -> Response:
    """`GET /t/TABLE/drills`."""
    name = request.path_params["table"]

    def read(token: StopToken) -> list[Held]:
        return site.backup(token, name).drills(SHOWN)

    found = await site.read(request, read)
    charts = [
        (short, f"{what}, the last {len(found):,} drills", Markup(_chart(f"{short}: {what}", found, short)))  # noqa: S704 - escaped there
        for short, what in (("RTO", "time to a usable table"), ("RPO", "age of the newest complete second"))
    ]
    errors = {each.id: next(iter(site.privacy.words([each.error])), "") for each in found if each.error}
    return site.page(
        request,
        "drills.html",
        table=name,
        drills=found[::-1],
        errors=errors,
        charts=charts if found else [],
        commands=[site.command("drill", name, "--report", f"{name}-drill.html")],
    )


def _chart(title: str, found: list[Held], which: str) -> str:
    bars = [ChartBar(each.began, each.rto_seconds if which == "RTO" else each.rpo_seconds, each.passed) for each in found]
    return chart(title, bars, None)
