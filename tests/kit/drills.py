"""Two drills as their reports tell them: one that passed, and one in which all went wrong that can."""

from __future__ import annotations

import msgspec

from backstream.model import moment
from backstream.model.objectives import Objectives
from backstream.operations.drill import Difference, Drill, DrillDifference, Live, Side
from backstream.operations.inspect import check
from backstream.operations.inspect.check import Finding
from backstream.operations.restore import Failure
from kit.images import image, key

BEGAN = 1_700_000_000
NASTY = "<script>alert('&')</script>"

PASSED = Drill(
    table="flights",
    id="abcd1234",
    began=moment.iso(BEGAN),
    at=moment.iso(BEGAN - 10),
    passed=True,
    rows=1_000,
    matched=1_000,
    differences=0,
    failed=0,
    rpo_seconds=10.0,
    rto_seconds=90.0,
    seconds=100.0,
    scratch="flights-drill-abcd1234",
    kept=False,
    objectives=Objectives(1_800, 7_200),
    sampled=20,
    live=Live(1_000, 990, 10, 0),
    checked=["39 row versions of 8 objects, by a listing"],
    unchecked=["the live table's indexes"],
    account="111122223333",
    region="eu-central-1",
    table_arn="arn:aws:dynamodb:eu-central-1:111122223333:table/flights",
    vault="s3://our-vault/vault",
    operator="arn:aws:sts::111122223333:assumed-role/drills/nightly",
)
FAILED = msgspec.structs.replace(
    PASSED,
    passed=False,
    matched=998,
    differences=2,
    failed=1,
    rto_seconds=None,
    reasons=[f"not in the restored table: {NASTY}"],
    differing=[
        Difference(
            msgspec.Raw(key(NASTY, 1)), DrillDifference.MISSING, Side.SCRATCH, expected=msgspec.Raw(image(NASTY, 1)), why="lost"
        ),
        Difference(
            msgspec.Raw(key("row", 2)),
            DrillDifference.DIFFERENT,
            Side.LIVE,
            msgspec.Raw(image("row", 2)),
            msgspec.Raw(image("row", 2, v={"S": "x"})),
        ),
    ],
    failures=[Failure(f"flights/{NASTY}", "a foreign object")],
    warnings=["a note"],
    hint="what to do",
    findings=[
        Finding(check.FindingKind.MISSING, f"flights/{NASTY}/2", "it is missing", since="2023-11-14T22:10:00Z", version="v1")
    ],
    found=1,
    operator="",
)
