"""The request and the report of a drill."""

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
    """The moment that a drill restores if none is given: the newest one, or a random one of all proven ones."""

    NEWEST = "newest"
    RANDOM = "random"


class DrillPlan(msgspec.Struct, frozen=True):
    """The plan of a drill.

    `at`: the second to restore, None to `pick` one; `scratch`: the name of a table that does not exist, None for one of its own;
    `keep`: leave the scratch table there; `sample`: the number of rows whose history is read; `patience`: the seconds for which a
    difference to the live table must stay unchanged to count; `operator`: who runs it, for the report; `covered`: the vault's
    coverage by signatures.
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
    """The side that the vault's state was compared with: the restored SCRATCH table, the LIVE one, or an item's own HISTORY."""

    SCRATCH = "scratch"
    LIVE = "live"
    HISTORY = "history"


class DrillDifference(enum.StrEnum):
    """The kind of a difference.

    MISSING: only the vault has the row; EXTRA: only the other side; UNREADABLE: the vault's state of it cannot be read.
    """

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    UNREADABLE = "unreadable"


class Difference(msgspec.Struct, frozen=True):
    """One wrong row. `expected`: its image by the vault; `found`: its image on the other side.

    Images are null if there is none, and if they would make the report too long. `why`: the reason if it cannot be read.
    """

    key: msgspec.Raw
    kind: DrillDifference
    side: Side
    expected: msgspec.Raw = NULL
    found: msgspec.Raw = NULL
    why: str = ""


class Live(msgspec.Struct, frozen=True):
    """The comparison with the live table: its rows, those equal to the moment, and those not judged because they have changed
    since.

    Rows that are wrong in the scratch table are not among these.
    """

    rows: int
    same: int
    changed: int
    different: int


class Drill(msgspec.Struct, frozen=True):
    """The result of a drill. Times are ISO 8601, UTC; figures are in seconds, None if nothing could be measured.

    `rows`: the vault's rows at the moment; `matched`: those that are the same in the scratch table; `differences`: wrong rows, on
    any side; `differing` names the first thousand of them; `failed`: objects of the vault that cannot be read, or that contradict
    their names, named in `failures`. `rpo_seconds`: the age, when the drill began, of the newest second up to which the vault is
    complete; `rto_seconds`: from the drill's beginning until all rows were in the scratch table. `reasons`: why it has not passed.
    `live`: None if it was not compared with the live table; `warnings` say why. `sampled`: rows whose history was read one by one.
    `scratch`: the scratch table's name; `kept`: True if it still exists. `error`: the error that stopped the drill before its end;
    `hint`: the next step then.

    `findings`: findings of `check` that affect the moment, at most ten thousand; `found`: their number; `checked`, `unchecked`: the
    parts of the vault and of the table that were checked, and those that were not. `account`, `region`, `table_arn`: the table that
    the vault has followed; `vault`: its URL; `operator`: who ran the drill, by AWS's token service, or else the user and the
    machine. `missing`: items that lack a change in the vault. `covered`: the coverage by signatures, and the vault's head: keep
    that elsewhere.
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
