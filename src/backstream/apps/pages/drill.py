"""A drill's report as a page: a verdict that is visible from across the room, and below it all evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from backstream.apps.pages.chart import ChartBar, chart
from backstream.apps.pages.style import CSS
from backstream.apps.pages.text import escape
from backstream.model.objectives import in_words
from backstream.operations.drill import Difference, Drill, Side
from backstream.operations.inspect.check import Finding
from backstream.vault.drills import Held
from backstream.version import __version__

SIDES = {
    Side.SCRATCH: ("by the vault", "in the restored table"),
    Side.LIVE: ("as restored", "in the live table"),
    Side.HISTORY: ("by the change log", "by the item's history"),
}


def page(drill: Drill, history: Sequence[Held]) -> bytes:
    """Returns the page. `history`: the last drills, oldest first, including this one. It loads nothing from anywhere."""
    verdict = "PASS" if drill.passed else "FAIL"
    body = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{verdict}: drill of {escape(drill.table)}, {escape(drill.began)}</title>",
        f"<style>{CSS}</style></head><body>",
        _header(drill, verdict),
        "<main>",
        _figures(drill),
        _differences(drill),
        _failures(drill),
        _findings(drill),
        _charts(drill, history),
        _notes(drill),
        _checked(drill),
        _unchecked(drill),
        _where(drill),
        _history(history),
        f"<footer>Drill {escape(drill.id)} of {escape(drill.began)}, by Backstream {__version__}. All times are UTC.</footer>",
        "</main></body></html>",
    ]
    return "\n".join(part for part in body if part).encode()


def _header(drill: Drill, verdict: str) -> str:
    kind = "passed" if drill.passed else "failed"
    reasons = _list(drill.reasons) if drill.reasons else ""
    hint = f"<p>{escape(drill.hint)}</p>" if drill.hint else ""
    at, began = (f"<span class='time'>{escape(each)}</span>" for each in (drill.at, drill.began))
    what = f"<p><strong>{escape(drill.table)}</strong> as it was at {at}, tried at {began}</p>"
    return f'<header class="{kind}"><h1>{verdict}</h1>{what}{reasons}{hint}</header>'


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(each)}</li>" for each in items) + "</ul>"


def _figures(drill: Drill) -> str:
    aims = drill.objectives
    figures = [
        _figure("RPO", _duration(drill.rpo_seconds), _aim(aims.rpo_seconds), missed=bool(aims.missed_rpo(drill.rpo_seconds))),
        _figure("RTO", _duration(drill.rto_seconds), _aim(aims.rto_seconds), missed=bool(aims.missed_rto(drill.rto_seconds))),
        _figure("rows", f"{drill.rows:,}", "at that moment"),
        _figure("matched", f"{drill.matched:,}", "in the restored table"),
        _figure("differences", f"{drill.differences:,}", "rows", missed=drill.differences > 0),
        _figure("unreadable", f"{drill.failed:,}", "objects of the vault", missed=drill.failed > 0),
    ]
    return f'<section class="figures">{"".join(figures)}</section>'


def _figure(name: str, value: str, below: str, *, missed: bool = False) -> str:
    kind = "figure missed" if missed else "figure"
    return f'<div class="{kind}">{name}<b>{escape(value)}</b><span class="faint">{escape(below)}</span></div>'


def _duration(seconds: float | None) -> str:
    return "unknown" if seconds is None else in_words(seconds)


def _aim(objective: int | None) -> str:
    return "no objective" if objective is None else f"objective {in_words(objective)}"


def _charts(drill: Drill, history: Sequence[Held]) -> str:
    aims = drill.objectives
    rto = [ChartBar(each.began, each.rto_seconds, each.passed) for each in history]
    rpo = [ChartBar(each.began, each.rpo_seconds, each.passed) for each in history]
    charts = [
        _chart("RTO", "time to a usable table", rto, aims.rto_seconds),
        _chart("RPO", "age of the newest complete second", rpo, aims.rpo_seconds),
    ]
    return f'<div class="charts">{"".join(charts)}</div>'


def _chart(name: str, what: str, bars: Sequence[ChartBar], objective: int | None) -> str:
    title = f"{what}, the last {len(bars):,} drills"
    return f"<section><h2>{name} <span class='faint'>{title}</span></h2>{chart(f'{name}: {title}', bars, objective)}</section>"


def _differences(drill: Drill) -> str:
    if not drill.differing:
        return ""
    rows = "".join(map(_difference, drill.differing))
    more = ""
    if drill.differences > len(drill.differing):
        more = f'<p class="faint">The first {len(drill.differing):,} findings of {drill.differences:,} rows.</p>'
    head = "<tr><th>what</th><th>key</th><th>the two images</th></tr>"
    return f'<section><h2>Differences</h2>{more}<div class="scroll"><table class="differences">{head}{rows}</table></div></section>'


def _difference(each: Difference) -> str:
    wanted, seen = SIDES[each.side]
    images = f"{_image(wanted, each.expected)}{_image(seen, each.found)}"
    why = f"<p>{escape(each.why)}</p>" if each.why else ""
    key = f"<code>{escape(_on_one_line(each.key))}</code>"
    return f"<tr><td>{each.kind}<br><span class='faint'>{each.side}</span></td><td>{key}</td><td>{why}{images}</td></tr>"


def _image(where: str, image: bytes) -> str:
    if bytes(image) == b"null":
        return ""
    return f"<span class='faint'>{where}</span><code class='image'>{escape(_on_one_line(image))}</code>"


def _on_one_line(raw: bytes) -> str:
    return msgspec.json.format(bytes(raw), indent=-1).decode()


def _failures(drill: Drill) -> str:
    if not drill.failures:
        return ""
    rows = "".join(f"<tr><td><code>{escape(each.what)}</code></td><td>{escape(each.why)}</td></tr>" for each in drill.failures)
    head = "<tr><th>object</th><th>why</th></tr>"
    return f'<section><h2>Objects of the vault</h2><div class="scroll"><table>{head}{rows}</table></div></section>'


def _notes(drill: Drill) -> str:
    return f"<section><h2>Notes</h2>{_list(drill.warnings)}</section>" if drill.warnings else ""


def _checked(drill: Drill) -> str:
    gone = "kept" if drill.kept else "deleted since"
    facts = [
        f"All {drill.rows:,} rows of the moment: restored into the table {drill.scratch} ({gone}), and read back.",
        f"{drill.matched:,} of these are as the vault holds them, by value.",
        f"{drill.sampled:,} rows by their own histories, byte for byte.",
        _live(drill),
        *(f"The vault: {each}." for each in drill.checked),
        f"It took {in_words(drill.seconds)} in all, comparisons included.",
    ]
    return f"<section><h2>What was checked</h2>{_list(facts)}</section>"


def _unchecked(drill: Drill) -> str:
    return f"<section><h2>What was not checked</h2>{_list(drill.unchecked)}</section>" if drill.unchecked else ""


def _findings(drill: Drill) -> str:
    if not drill.findings:
        return ""
    rows = "".join(map(_finding, drill.findings))
    head = "<tr><th>what</th><th>object</th><th>why</th><th>from</th><th>to</th></tr>"
    title = "<h2>What the vault claims of this moment and does not hold</h2>"
    return f'<section>{title}<div class="scroll"><table>{head}{rows}</table></div></section>'


def _finding(each: Finding) -> str:
    key = "" if bytes(each.key) == b"null" else f"<br><code>{escape(_on_one_line(each.key))}</code>"
    version = "" if each.version is None else f" <span class='faint'>version {escape(each.version)}</span>"
    what = f"<td><code>{escape(each.object)}</code>{version}{key}</td>"
    times = "".join(f"<td><span class='time'>{escape(text)}</span></td>" for text in (each.since or "-", each.until or "now"))
    return f"<tr><td><span class='time'>{each.kind}</span></td>{what}<td>{escape(each.why)}</td>{times}</tr>"


def _where(drill: Drill) -> str:
    """Returns the identity of account, table, vault and operator: an auditor reads this first."""
    facts = [
        ("account", drill.account),
        ("region", drill.region),
        ("table", drill.table_arn),
        ("vault", drill.vault),
        ("operator", drill.operator),
    ]
    rows = "".join(f"<tr><th>{name}</th><td><code>{escape(value or 'unknown')}</code></td></tr>" for name, value in facts)
    return f'<section><h2>Where, and by whom</h2><div class="scroll"><table>{rows}</table></div></section>'


def _live(drill: Drill) -> str:
    live = drill.live
    if live is None:
        return "Not compared with the live table; the notes say why."
    judged = f"{live.same:,} as restored, {live.changed:,} changed since, {live.different:,} that should not differ"
    return f"{live.rows:,} rows of the live table: {judged}."


def _history(history: Sequence[Held]) -> str:
    head = "<tr><th>began</th><th>moment</th><th>verdict</th><th class='number'>RPO</th><th class='number'>RTO</th>"
    head += "<th class='number'>rows</th><th class='number'>differences</th></tr>"
    rows = "".join(map(_held, reversed(history)))
    return f'<section><h2>The last drills</h2><div class="scroll"><table>{head}{rows}</table></div></section>'


def _held(each: Held) -> str:
    texts = (each.began, each.at, "passed" if each.passed else "FAILED")
    numbers = (_duration(each.rpo_seconds), _duration(each.rto_seconds), f"{each.rows:,}", f"{each.differences:,}")
    cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
    return f"<tr>{cells}" + "".join(f'<td class="number">{escape(number)}</td>' for number in numbers) + "</tr>"
