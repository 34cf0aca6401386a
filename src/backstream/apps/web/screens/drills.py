"""Drills: the last restore tests of a table, their trend, and the whole report of each."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from backstream.apps.pages.chart import ChartBar, chart
from backstream.apps.pages.drill import SIDES
from backstream.apps.web import differences, values
from backstream.apps.web.background.stopping import StopToken
from backstream.apps.web.site import Site
from backstream.operations.drill import Drill
from backstream.vault.drills import Held

SHOWN = 60
NAMED = 100  # differences and findings of a report that are shown


class WrongRow(msgspec.Struct, frozen=True):
    """A row that did not come back as it was. `sides`: names of the two states; `lines`: what differs; `why`: other faults."""

    key: str
    url: str
    kind: str
    sides: tuple[str, str]
    lines: list[differences.Line]
    why: str


async def drills(site: Site, request: Request) -> Response:
    """`GET /t/TABLE/drills`."""
    name = request.path_params["table"]

    def read(token: StopToken) -> list[Held]:
        return site.backup(token, name).drills(SHOWN)

    found = await site.read(request, read)
    errors = {each.id: next(iter(site.privacy.words([each.error])), "") for each in found if each.error}
    return site.page(
        request,
        "drills.html",
        table=name,
        drills=found[::-1],
        errors=errors,
        charts=_charts(found, None),
        commands=[site.command("drill", name, "--report", f"{name}-drill.html")],
    )


async def drill(site: Site, request: Request) -> Response:
    """`GET /t/TABLE/drills/ID`: the report of one drill, and the trend that it stands in."""
    name, which = request.path_params["table"], request.path_params["drill"]

    def read(token: StopToken) -> tuple[Held, Drill | None, list[Held]]:
        site.vault(token, name)  # whose items may be shown
        backup = site.backup(token, name)
        return *backup.drill_record(which), backup.drills(SHOWN)

    held, report, around = await site.read(request, read)
    said = site.privacy.words
    return site.page(
        request,
        "drill.html",
        table=name,
        held=held,
        report=report,
        error=next(iter(said([held.error] if held.error else [])), ""),
        reasons=[] if report is None else said(report.reasons),
        warnings=[] if report is None else said(report.warnings),
        wrong=[] if report is None else _wrong(site, name, report),
        findings=[] if report is None else said(_findings(report)),
        missing=[] if report is None else [(_key(each.key), each.since, each.until) for each in report.missing[:NAMED]],
        most=NAMED,
        charts=_charts(around, report),
        commands=[site.command("drill", name, *(["--at", held.at] if held.at else []), "--report", f"{name}-drill.html")],
    )


def _charts(found: Sequence[Held], report: Drill | None) -> list[tuple[str, str, Markup]]:
    """Returns the trend. `report`: its objectives are drawn into it."""
    if not found:
        return []
    aims = (None, None) if report is None else (report.objectives.rto_seconds, report.objectives.rpo_seconds)
    rto = [ChartBar(each.began, each.rto_seconds, each.passed) for each in found]
    rpo = [ChartBar(each.began, each.rpo_seconds, each.passed) for each in found]
    return [
        _chart("RTO", f"time to a usable table, the last {len(found):,} drills", rto, aims[0]),
        _chart("RPO", f"age of the newest complete second, the last {len(found):,} drills", rpo, aims[1]),
    ]


def _chart(short: str, what: str, bars: Sequence[ChartBar], aim: int | None) -> tuple[str, str, Markup]:
    return short, what, Markup(chart(f"{short}: {what}", bars, aim))  # noqa: S704 - escaped there


def _wrong(site: Site, table: str, report: Drill) -> list[WrongRow]:
    found = list[WrongRow]()
    for each in report.differing[:NAMED]:
        key = msgspec.json.format(bytes(each.key), indent=-1)
        before, after = (site.privacy.attributes(bytes(image)) for image in (each.expected, each.found))
        why = next(iter(site.privacy.words([each.why] if each.why else [])), "")
        lines = differences.lines(before, after)
        found.append(WrongRow(values.key_words(key), site.privacy.item_url(table, key), each.kind, SIDES[each.side], lines, why))
    return found


def _findings(report: Drill) -> list[str]:
    found = [f"{each.what}: {each.why}" for each in report.failures[:NAMED]]
    return [*found, *(f"{each.object}: {each.why}" for each in report.findings[:NAMED])]


def _key(raw: bytes) -> str:
    return values.key_words(bytes(raw))
