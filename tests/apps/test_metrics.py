"""What monitors are told, read as they read it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from backstream.apps import publishing
from backstream.apps.monitoring.emf import Measured, emf
from backstream.apps.monitoring.metrics import of_drill
from backstream.apps.monitoring.prometheus import prometheus
from backstream.errors import Failed, UsageError
from backstream.operations.drill import Drill
from kit.drills import FAILED, PASSED

# https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)\{table="((?:[^"\\\n]|\\\\|\\"|\\n)*)"\} (-?[0-9.e+]+)')


def samples(text: bytes) -> dict[tuple[str, str], float]:
    """By metric and table. Each metric's HELP and TYPE come once, right before its samples, and the text ends with a line feed."""
    found: dict[tuple[str, str], float] = {}
    told: list[str] = []
    assert text.endswith(b"\n")
    for line in text.decode().splitlines():
        if line.startswith("# HELP "):
            told.append(line.split()[2])
        elif line.startswith("# TYPE "):
            assert line.split()[2:] == [told[-1], "gauge"]
        else:
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            assert match[1] == told[-1]
            found[match[1], match[2]] = float(match[3])
    assert len(told) == len(set(told))
    return found


def test_a_drill_for_prometheus() -> None:
    found = samples(prometheus([of_drill(PASSED)]))
    assert found == {
        ("backstream_drill_passed", "flights"): 1,
        ("backstream_drill_rpo_seconds", "flights"): 10,
        ("backstream_drill_rto_seconds", "flights"): 90,
        ("backstream_drill_rows", "flights"): 1_000,
        ("backstream_drill_differences", "flights"): 0,
        ("backstream_drill_unreadable_objects", "flights"): 0,
        ("backstream_drill_timestamp_seconds", "flights"): 1_700_000_000,
    }


def test_several_tables_share_a_metric_and_what_was_not_measured_is_not_told() -> None:
    other = msgspec.structs.replace(FAILED, table="other")
    found = samples(prometheus([of_drill(PASSED), of_drill(other)]))
    assert found["backstream_drill_passed", "other"] == 0
    assert ("backstream_drill_rto_seconds", "other") not in found
    assert found["backstream_drill_rto_seconds", "flights"] == 90


def test_labels_are_escaped() -> None:
    drill = of_drill(PASSED)
    assert samples(prometheus([Measured('a"b\\c\nd', drill.at, drill.values)]))["backstream_drill_rows", r"a\"b\\c\nd"] == 1_000


@pytest.mark.parametrize("drill", [PASSED, FAILED])
def test_a_line_for_cloudwatch(drill: Drill) -> None:
    line = emf(of_drill(drill))
    assert line.count(b"\n") == 1
    said = msgspec.json.decode(line)
    assert said["_aws"]["Timestamp"] == 1_700_000_000_000
    (directive,) = said["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Backstream", [["Table"]])
    assert said["Table"] == "flights"
    for metric in directive["Metrics"]:
        assert isinstance(said[metric["Name"]], float)
        assert metric["Unit"] in ("Count", "Seconds")
    assert said["DrillPassed"] == (1.0 if drill is PASSED else 0.0)
    assert ("DrillRTO" in said) == (drill is PASSED)


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    publishing.publish(path, b"one")
    publishing.publish(path, b"two")
    assert path.read_bytes() == b"two"
    with pytest.raises(Failed, match="cannot be written"):
        publishing.publish(tmp_path / ("x" * 250), b"three")
    publishing.append(path, b"+")
    assert path.read_bytes() == b"two+"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError, match="does not exist"):
        publishing.check_folder(tmp_path / "no" / "a.prom")
