"""A drill's page: a verdict, the figures, the charts and every difference, whatever it is made of, and nothing from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser

import msgspec
import pytest

from backstream.apps.pages.chart import ChartBar, chart
from backstream.apps.pages.drill import page
from backstream.model import moment
from backstream.operations.drill import Difference, Drill, DrillDifference, Side
from backstream.vault.drills import Held
from kit.drills import FAILED, NASTY, PASSED
from kit.images import hard_images, image, key

VOID = ("meta", "br", "line", "rect")
BEGAN = 1_700_000_000


class Reading(HTMLParser):
    """`tags`: every element's name and attributes; `texts`: what a reader sees, by the element that it stands in."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(body.decode())
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._open[-1], data.strip()))

    def of(self, tag: str) -> list[str]:
        return [text for element, text in self.texts if element == tag]

    def classes(self, tag: str) -> list[str]:
        return [attributes.get("class") or "" for element, attributes in self.tags if element == tag]


def held(number: int, *, passed: bool = True, rto: float | None = 60.0) -> Held:
    began = moment.iso(BEGAN + 86_400 * number)
    return Held(f"id{number}", began, began, passed=passed, rows=10, differences=0, rpo_seconds=5.0, rto_seconds=rto)


@pytest.mark.parametrize(("drill", "verdict", "colour"), [(PASSED, "PASS", "passed"), (FAILED, "FAIL", "failed")])
def test_the_verdict_is_the_greatest_thing_on_the_page(drill: Drill, verdict: str, colour: str) -> None:
    read = Reading(page(drill, [held(0)]))
    assert read.of("h1") == [verdict]
    assert read.classes("header") == [colour]
    assert read.of("title")[:1] == [f"{verdict}: drill of flights, {drill.began}"]


def test_a_failed_drill_names_reasons_differences_objects_and_notes() -> None:
    read = Reading(page(FAILED, [held(0), held(1, passed=False, rto=None)]))
    assert f"not in the restored table: {NASTY}" in read.of("li")
    assert "a note" in read.of("li")
    assert "what to do" in read.of("p")
    codes = read.of("code")
    assert key(NASTY, 1).decode() in codes
    assert image("row", 2, v={"S": "x"}).decode() in codes
    assert f"flights/{NASTY}" in codes
    assert {"by the vault", "as restored", "in the live table"} <= set(read.of("span"))
    assert read.classes("div").count("figure missed") == 3, "RTO, differences and unreadable objects"
    assert "unknown" in read.of("b")


def test_it_says_what_was_checked_and_what_was_not_and_who_vouches_for_it() -> None:
    read = Reading(page(PASSED, [held(0)]))
    assert {"What was checked", "What was not checked", "Where, and by whom"} <= set(read.of("h2"))
    assert {"The vault: 39 row versions of 8 objects, by a listing.", "the live table's indexes"} <= set(read.of("li"))
    assert {PASSED.account, PASSED.region, PASSED.table_arn, PASSED.vault, PASSED.operator} <= set(read.of("code"))
    failed = Reading(page(FAILED, [held(0)]))
    assert "What the vault claims of this moment and does not hold" in failed.of("h2")
    assert f"flights/{NASTY}/2" in failed.of("code")
    assert "it is missing" in failed.of("td")
    assert "unknown" in failed.of("code"), "nobody knows who ran it"


@pytest.mark.parametrize("drill", [PASSED, FAILED])
def test_nothing_is_loaded_from_elsewhere_and_data_is_never_markup(drill: Drill) -> None:
    body = page(drill, [held(number) for number in range(30)])
    read = Reading(body)
    assert not {tag for tag, _ in read.tags} & {"script", "link", "img", "iframe", "object", "base"}
    assert not [name for _, attributes in read.tags for name in attributes if name in ("src", "href") or name.startswith("on")]
    assert b"url(" not in body
    assert b"@import" not in body
    assert b"prefers-color-scheme: dark" in body


def test_every_image_there_is_can_be_shown() -> None:
    differing = [
        Difference(msgspec.Raw(key("a", 1)), DrillDifference.DIFFERENT, Side.HISTORY, msgspec.Raw(each), msgspec.Raw(each))
        for name, each in hard_images().items()
        if name != "emoji"
    ]
    read = Reading(page(msgspec.structs.replace(FAILED, differing=differing), [held(0)]))
    assert len([each for each in read.classes("code") if each == "image"]) == 2 * len(differing)


def test_the_chart_has_a_bar_for_each_drill_and_the_objective() -> None:
    bars = [ChartBar(moment.iso(BEGAN + 86_400 * n), None if n == 3 else 60.0 + n, passed=n % 2 == 0) for n in range(30)]
    read = Reading(chart("RTO", bars, 120).encode())
    assert sorted(read.classes("rect")) == sorted(["passed"] * 15 + ["failed"] * 14)
    assert "\N{MULTIPLICATION SIGN}" in read.of("text"), "one could not be measured"
    assert len(read.of("title")) == 30
    assert "objective 2 min" in read.of("text")
    assert "aim" in read.classes("line")
    tops = [float(attributes["y"] or "") for tag, attributes in read.tags if tag == "rect"]
    assert min(tops) > 0
    assert tops == sorted(tops, reverse=True), "the higher the figure, the higher the bar"


def test_an_objective_far_above_does_not_press_the_bars_flat() -> None:
    read = Reading(chart("RTO", [ChartBar(moment.iso(BEGAN), 2.0, passed=True)], 7_200).encode())
    assert "aim" not in read.classes("line")
    assert "↑ objective 2 h" in read.of("text")


@pytest.mark.parametrize("bars", [[], [ChartBar("", None, passed=False)]])
def test_a_chart_of_nothing(bars: list[ChartBar]) -> None:
    assert Reading(chart("RTO", bars, None).encode()).classes("rect") == []
