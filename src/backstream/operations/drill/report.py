"""What a drill is asked, and what it answers."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from backstream.model.objectives import Objectives
from backstream.operations.inspect.check import Finding
from backstream.operations.inspect.lost_changes import MissingChange
from backstream.operations.inspect.signatures import SignedCover
from backstream.operations.restore import Failure

NULL = msgspec.Raw(b"null")
SAMPLE = 20  # rows whose history is read one by one
PATIENCE = 30.0


class Pick(enum.StrEnum):
    """Which moment a drill restores where none is given: the newest there is, or a random one of all that are proven."""

    NEWEST = "newest"
    RANDOM = "random"


class DrillPlan(msgspec.Struct, frozen=True):
    """What to try.

    `at`: the second to restore, None to `pick` one; `scratch`: the name of a table that does not exist, None for one of its own;
    `keep`: leave the scratch table there; `sample`: of how many rows the history is read; `patience`: for how many seconds a
    difference to the live table must stand still to be one; `operator`: who runs it, for the report;
    `covered`: what vouches for the vault.
    """

    at: int | None = None
    pick: Pick = Pick.NEWEST
    scratch: str | None = None
    keep: bool = False
    objectives: Objectives = Objectives()
    sample: int = SAMPLE
    patience: float = PATIENCE
    allow_gap: bool = False
    max_units: float | None = None
    operator: str = ""
    covered: SignedCover = SignedCover()


class Side(enum.StrEnum):
    """What the vault's state was compared with: the restored SCRATCH table, the LIVE one, or an item's own HISTORY."""

    SCRATCH = "scratch"
    LIVE = "live"
    HISTORY = "history"


class DrillDifference(enum.StrEnum):
    """MISSING: only the vault has the row; EXTRA: only the other side; UNREADABLE: what the vault holds of it cannot be read."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    UNREADABLE = "unreadable"


class Difference(msgspec.Struct, frozen=True):
    """One row that is not as it should be. `expected`: its image by the vault, `found`: on the other side.

    Images are null where there is none, and where they would make the report too long. `why`: of what cannot be read.
    """

    key: msgspec.Raw
    kind: DrillDifference
    side: Side
    expected: msgspec.Raw = NULL
    found: msgspec.Raw = NULL
    why: str = ""


class Live(msgspec.Struct, frozen=True):
    """The comparison with the live table: its rows, those as at the moment, those not judged, since they have changed since.

    Rows that are wrong in the scratch table are none of these.
    """

    rows: int
    same: int
    changed: int
    different: int


class Drill(msgspec.Struct, frozen=True):
    """What a drill found. Times in ISO 8601, UTC; figures in seconds, None where nothing could be measured.

    `rows`: that the vault says there were at the moment; `matched`: of these, the same in the scratch table; `differences`: rows
    that are not as they should be, on any side, of which `differing` names the first thousand; `failed`: objects of the vault that
    cannot be read, or cannot be what they stand for, named in `failures`. `rpo_seconds`: the age, when the drill began, of the
    newest second up to which the vault is complete; `rto_seconds`: from the drill's beginning until all rows were in the scratch
    table. `reasons`: why it has not passed. `live`: None where it was not compared with the live table; `warnings` say why.
    `sampled`: rows whose history was read one by one. `scratch`: the table's name, `kept`: whether it is still there. `error`: what
    stopped the drill before its end, `hint`: the next step then.

    `findings`: what `check` found that affects the moment, at most ten thousand; `found`: how many; `checked`, `unchecked`: what of
    the vault and of the table was looked at, and what was not. `account`, `region`, `table_arn`: of the table that the vault
    has followed; `vault`: its URL; `operator`: who ran the drill, as AWS's token service says, or else the user and the machine.
    `missing`: items of which the vault lacks a change. `covered`: what signatures cover, and the vault's head:
    keep that elsewhere.
    """

    table: str
    id: str
    began: str
    at: str
    passed: bool
    rows: int
    matched: int
    differences: int
    failed: int
    rpo_seconds: float | None
    rto_seconds: float | None
    seconds: float
    scratch: str
    kept: bool
    objectives: Objectives
    sampled: int
    live: Live | None
    reasons: Sequence[str] = ()
    differing: Sequence[Difference] = ()
    failures: Sequence[Failure] = ()
    warnings: Sequence[str] = ()
    error: str | None = None
    hint: str = ""
    findings: Sequence[Finding] = ()
    found: int = 0
    checked: Sequence[str] = ()
    unchecked: Sequence[str] = ()
    account: str = ""
    region: str = ""
    table_arn: str = ""
    vault: str = ""
    operator: str = ""
    missing: Sequence[MissingChange] = ()
    covered: SignedCover = SignedCover()
