"""A bar chart of one figure over the last drills, as SVG: a bar for each, the newest on the right, the objective as a line."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from backstream.apps.pages.text import escape
from backstream.model.objectives import in_words

WIDTH, HEIGHT = 620, 230
LEFT, RIGHT, TOP, BOTTOM = 92, 12, 24, 36
LEAST_PLACES = 12  # a first drill is not one huge bar
LABEL = 135  # units that a label below the bars takes
FAR = 4.0  # an objective so many times the greatest figure would press all bars flat: then it is only told


class ChartBar(msgspec.Struct, frozen=True):
    """One drill: its time, its figure in seconds (None: it could not be measured), and whether it passed."""

    label: str
    seconds: float | None
    passed: bool


def chart(title: str, bars: Sequence[ChartBar], objective: float | None) -> str:
    """Returns the chart. `title` describes it, also to those who cannot see it."""
    greatest = max([1.0, *(bar.seconds or 0.0 for bar in bars)])
    shown = objective if objective is not None and objective <= FAR * greatest else None
    most = _nice(max(greatest, shown or 0.0))
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_scale(most),
        *_bars(bars, most),
        *(_far_above(objective) if shown is None else _objective(shown, most)),
        "</svg>",
    ]
    return "".join(parts)


def _nice(seconds: float) -> float:
    """Rounds up, in steps that a person counts in."""
    steps = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
    wanted = seconds * 1.12
    return next((float(step) for step in steps if step >= wanted), math.ceil(wanted / 86_400) * 86_400.0)


def _height(seconds: float, most: float) -> float:
    return seconds / most * (HEIGHT - TOP - BOTTOM)


def _scale(most: float) -> list[str]:
    floor = HEIGHT - BOTTOM
    lines = []
    for part in (0.0, 0.5, 1.0):
        y = floor - _height(most * part, most)
        lines.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{in_words(most * part)}</text>')
    return lines


def _bars(bars: Sequence[ChartBar], most: float) -> list[str]:
    place = (WIDTH - LEFT - RIGHT) / max(len(bars), LEAST_PLACES)
    every = math.ceil(LABEL / place)
    drawn = []
    for number, bar in enumerate(bars):
        x, kind = LEFT + number * place, "passed" if bar.passed else "failed"
        said = f"{bar.label}: {'unknown' if bar.seconds is None else in_words(bar.seconds)}, {kind}"
        drawn.append(f"<g><title>{escape(said)}</title>{_bar(x, place, bar, most, kind)}</g>")
        if (len(bars) - 1 - number) % every == 0:
            drawn.append(_label(x + place / 2, _short(bar.label)))
    return drawn


def _label(x: float, text: str) -> str:
    """Returns a label below its bar, as far as there is room."""
    x, anchor = (WIDTH - RIGHT, "end") if x + LABEL / 2 > WIDTH - RIGHT else (x, "middle")
    return f'<text x="{x:.1f}" y="{HEIGHT - 12}" text-anchor="{anchor}">{escape(text)}</text>'


def _bar(x: float, place: float, bar: ChartBar, most: float, kind: str) -> str:
    floor = HEIGHT - BOTTOM
    if bar.seconds is None:
        return f'<text class="unknown" x="{x + place / 2:.1f}" y="{floor - 4}" text-anchor="middle">&#215;</text>'
    height = max(2.0, _height(bar.seconds, most))
    left, width = x + place * 0.15, place * 0.7
    return f'<rect class="{kind}" x="{left:.1f}" y="{floor - height:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'


def _far_above(objective: float | None) -> list[str]:
    if objective is None:
        return []
    return [f'<text class="aim" x="{WIDTH - RIGHT}" y="13" text-anchor="end">&#8593; objective {in_words(objective)}</text>']


def _objective(objective: float, most: float) -> list[str]:
    y = HEIGHT - BOTTOM - _height(objective, most)
    return [
        f'<line class="aim" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
        f'<text class="aim" x="{WIDTH - RIGHT}" y="{y - 6:.1f}" text-anchor="end">objective {in_words(objective)}</text>',
    ]


def _short(label: str) -> str:
    """Returns `11-23 04:15` for a time."""
    return label[5:16].replace("T", " ")
