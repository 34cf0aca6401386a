"""The timeline as SVG: a bar for each step, and gaps, base backups and drills beside them.

Shapes carry the meaning, colors only help.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from backstream.apps.pages.text import escape
from backstream.apps.web.history.timeline import Bar
from backstream.model import moment

WIDTH, HEIGHT = 960, 210
LEFT, RIGHT, TOP, BOTTOM = 64, 10, 30, 26
LABELS = 6
ON_PHONES = (0, 2, 5)  # labels for which a narrow screen has room
KINDS = ("INSERT", "MODIFY", "REMOVE")


class Mark(msgspec.Struct, frozen=True):
    """A mark besides changes. `kind`: gap, base or drill; `since`, `until`: seconds; `words`: its description."""

    kind: str
    since: int
    until: int
    words: str


def chart(bars: Sequence[Bar], since: int, until: int, marks: Sequence[Mark]) -> Markup:
    """Returns the chart of the changes after `since`, up to `until`."""
    most = max([1.0, *(each.count for each in bars)])
    title = f"{round(sum(each.count for each in bars)):,} changes after {moment.iso(since)}, up to {moment.iso(until)}"
    facts = {"since": since, "until": until, "left": LEFT, "right": WIDTH - RIGHT, "width": WIDTH}
    data = " ".join(f'data-{name}="{value}"' for name, value in facts.items())
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" class="timeline" {data}>',
        _patterns(),
        *_scale(most),
        *(_gap(each, since, until) for each in marks if each.kind == "gap"),
        *(_bar(each, since, until, most) for each in bars if each.count > 0),
        *(_sign(each, since, until) for each in marks if each.kind != "gap"),
        *_times(since, until),
        f'<rect class="chosen" x="0" y="{TOP}" width="0" height="{HEIGHT - TOP - BOTTOM}"/>',
        "</svg>",
    ]
    return Markup("".join(parts))  # noqa: S704 - numbers and escaped text alone


def _patterns() -> str:
    """Returns hatches, so that kinds are distinct without colors."""
    paths = {"INSERT": (6, "M0 3H6"), "REMOVE": (6, "M0 6L6 0"), "gap": (8, "M0 0L8 8M0 8L8 0")}
    return f"<defs>{''.join(_pattern(name, size, path) for name, (size, path) in paths.items())}</defs>"


def _pattern(name: str, size: int, path: str) -> str:
    drawn = f'<rect class="ground {name}" width="8" height="8"/><path class="hatch" d="{path}"/>'
    return f'<pattern id="p-{name}" width="{size}" height="{size}" patternUnits="userSpaceOnUse">{drawn}</pattern>'


def _x(second: float, since: int, until: int) -> float:
    share = (second - since) / max(1, until - since)
    return LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT - RIGHT)


def _bar(bar: Bar, since: int, until: int, most: float) -> str:
    begin, end = _x(bar.since - 1, since, until), _x(bar.until, since, until)
    width, floor = max(1.0, (end - begin) * 0.86), HEIGHT - BOTTOM
    said = f"{moment.iso(bar.since)}: {round(bar.count):,}"
    parts, top = list[str](), float(floor)
    kinds = {"ALL": bar.count} if bar.kinds is None else {kind: bar.kinds.get(kind, 0) for kind in KINDS}
    for kind, count in kinds.items():
        height = count / most * (floor - TOP)
        if count > 0:
            top -= max(height, 1.0)
            parts.append(
                f'<rect class="bar {kind}" x="{begin:.1f}" y="{top:.1f}" width="{width:.1f}" height="{max(height, 1.0):.1f}"/>'
            )
    return f"<g><title>{escape(said)}</title>{''.join(parts)}</g>"


def _gap(mark: Mark, since: int, until: int) -> str:
    begin, end = _x(mark.since - 1, since, until), _x(mark.until, since, until)
    if mark.until < since or mark.since > until:
        return ""
    shape = f'<rect class="gap" x="{begin:.1f}" y="{TOP}" width="{max(3.0, end - begin):.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
    return f'<g><title>{escape(mark.words)}</title>{shape}<text class="gap" x="{begin:.1f}" y="{TOP - 16}">gap</text></g>'


def _sign(mark: Mark, since: int, until: int) -> str:
    if not since <= mark.since <= until:
        return ""
    x, y = _x(mark.since, since, until), TOP - 8
    shape = f"M{x - 6:.1f} {y + 6}L{x:.1f} {y - 6}L{x + 6:.1f} {y + 6}Z"
    if mark.kind == "drill":
        shape = f"M{x - 6:.1f} {y}L{x:.1f} {y - 6}L{x + 6:.1f} {y}L{x:.1f} {y + 6}Z"
    return f'<g><title>{escape(mark.words)}</title><path class="sign {mark.kind}" d="{shape}"/></g>'


def _scale(most: float) -> list[str]:
    floor = HEIGHT - BOTTOM
    lines = []
    for part in (0.0, 0.5, 1.0):
        y = floor - part * (floor - TOP)
        lines.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text class="scale" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{round(most * part):,}</text>')
    return lines


def _times(since: int, until: int) -> list[str]:
    found = []
    for number in range(LABELS):
        second = since + (until - since) * number // (LABELS - 1)
        anchor = "start" if number == 0 else "end" if number == LABELS - 1 else "middle"
        text = moment.iso(second)
        said = text[11:19] if until - since < 86_400 else text[5:16].replace("T", " ")
        less = "" if number in ON_PHONES else ' class="less"'
        found.append(f'<text{less} x="{_x(second, since, until):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{said}</text>')
    return found
