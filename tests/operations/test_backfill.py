"""`backfill` through the command line, on real servers: what it makes sure of, what it costs, and how it is stopped."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import msgspec
import pytest

from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.tables.naming import Naming
from backstream.model.values import sizes, wire
from backstream.ports import Put
from backstream.vault.catalog import Layout
from kit.images import image, key
from kit.proxy import FaultProxy, Hold, Request, Response, answer, delay, nth, pass_on, rewrite
from kit.reverse_proxy import Action, Forward
from kit.scene import Ran, Scene, file_items, next_second, same
from kit.stage import wait_for

ROWS = 60
DENIED = answer(
    400,
    '{"__type":"com.amazon.coral.service#AccessDeniedException",'
    '"message":"User: arn:aws:iam::0:user/x is not authorized to perform: dynamodb:Scan"}',
)
SECOND_SEGMENT = rb'"Segment":\s*2\b'


@pytest.fixture
def proxy(scene: Scene) -> Iterator[FaultProxy]:
    """Between the commands and DynamoDB, not the bucket."""
    with FaultProxy(scene.aws.endpoint("dynamodb")) as proxy:
        scene.environment["AWS_ENDPOINT_URL_DYNAMODB"] = proxy.url
        scene.environment["AWS_ENDPOINT_URL_S3"] = scene.aws.endpoint("s3")
        yield proxy


@pytest.fixture
def stocked(scene: Scene) -> Scene:
    """A table that holds rows when it is `init`ed."""
    stock(scene)
    return scene


def stock(scene: Scene, rows: int = ROWS, **words: Any) -> None:
    scene.create()
    scene.put(*(image(f"zone {number % 7}", number, v={"S": "old"}) for number in range(rows)))
    scene.init(**words)


def backfill(scene: Scene, *words: str, code: int = 0) -> Any:
    """Its report; with an exit code that is none of success, what it said."""
    ran = scene.call("backfill", scene.table, "--json", *words)
    assert ran.code == code, ran.err
    return ran.json() if code == 0 else ran.err


def status(scene: Scene) -> Any:
    ran = scene.call("status", scene.table, "--json")
    assert ran.code == 0, ran.err
    return ran.json()


def tail(scene: Scene) -> None:
    ran = scene.call("tail", scene.table, "--until-caught-up")
    assert ran.code == 0, ran.err


def restore(scene: Scene, at: object, *words: str) -> Ran:
    (scene.folder / "restored").unlink(missing_ok=True)
    return scene.call("restore", scene.table, "--at", str(at), "--to-file", "restored", *words)


def restored(scene: Scene, at: object) -> dict[bytes, bytes]:
    ran = restore(scene, at)
    assert ran.code == 0, ran.err
    return file_items(scene.folder / "restored")


def second_of(text: str) -> int:
    return moment.parse_iso_micros(text) // MICROS


def row_versions(scene: Scene) -> Counter[str]:
    """How many versions each row object has, markers too."""
    return Counter(each.name for each in scene.store().versions(f"{scene.table}/"))


def parts(scene: Scene) -> dict[str, float]:
    """The parts of all base backups, and when each was written."""
    vault = scene.vault()
    return {part.name: part.modified for plan in vault.bases.plans() for part in vault.bases.parts(plan.id)}


# --- what it makes sure of --------------------------------------------------------------------------------------------------------

WORDS: list[dict[str, Any]] = [
    {"layout": Layout.ROWS},
    {"layout": Layout.ROWS, "naming": Naming.PLAIN, "tenant_attribute": "zone"},
    {"layout": Layout.LOG},
]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(WORDS[0], id="rows"),
        pytest.param(WORDS[1], id="plain tenants", marks=pytest.mark.soak),
        pytest.param(WORDS[2], id="log", marks=pytest.mark.soak),
    ],
)
def test_a_table_that_was_not_empty_is_known_from_the_end_of_the_scan_on(scene: Scene, words: dict[str, Any]) -> None:
    stock(scene, **words)
    before = int(time.time())
    scene.put(image("zone 0", 0, v={"S": "before"}))
    scene.delete(key("zone 1", 1))
    assert status(scene)["window_from"] is None

    report = backfill(scene, "--segments", "3")
    began, ended = second_of(report["began"]), second_of(report["ended"])
    assert before - 5 <= began < ended <= time.time()
    scene.put(image("zone 0", 0, v={"S": "after"}), image("new", 1))
    scene.delete(key("zone 2", 2))
    tail(scene)
    then = scene.items()
    at = next_second()

    found = status(scene)
    assert found["window_from"] == report["ended"]
    assert [(each["id"], each["kind"]) for each in found["base_backups"]] == [(report["id"], "scan")]
    assert same(restored(scene, at), then)
    assert len(then) == ROWS - 1
    now = restore(scene, "now")
    assert now.code == 0, now.err
    assert same(file_items(scene.folder / "restored"), then)

    for early in (before, ended - 1):
        refused = restore(scene, early)
        assert refused.code == 4
        assert "recovery window" in refused.err
        assert report["ended"] in refused.err
        assert not (scene.folder / "restored").exists()

    history = scene.call("history", scene.table, key("zone 3", 3).decode(), "--json").json()
    assert [(each["event"], each["sequence"]) for each in history] == [("BACKFILL", None)]
    shown = scene.call("show", scene.table, key("zone 3", 3).decode(), "--at", "now", "--json")
    assert shown.code == 0, shown.err
    assert wire.same_image(shown.out.encode(), then[wire.key_of(scene.schema, key("zone 3", 3))])
    gone = scene.call("show", scene.table, key("zone 1", 1).decode(), "--at", "now")
    assert gone.code == 1
    assert "did not exist" in gone.err


def test_the_report(stocked: Scene) -> None:
    report = backfill(stocked)
    names = ["table", "id", "kind", "rows", "written", "segments", "resumed", "began", "ended", "captured_to", "read_units"]
    assert {*names, "seconds", "warnings"} <= set(report), "a promise: more may come"
    assert (report["table"], report["kind"], report["resumed"]) == (stocked.table, "scan", False)
    assert (report["rows"], report["written"], report["segments"]) == (ROWS, ROWS, 4)
    assert report["captured_to"] is None, "no tail has run yet"
    assert any(f"backstream witness {stocked.table}" in each for each in report["warnings"])
    assert report["seconds"] > 0
    said = stocked.call("backfill", stocked.table)
    assert said.code == 0
    assert f"{ROWS}, of which 0 were new to the vault" in said.out
    assert "the recovery window starts at" in said.err


@pytest.mark.parametrize(
    "words", [pytest.param(WORDS[0], id="rows"), pytest.param(WORDS[1], id="plain tenants", marks=pytest.mark.soak)]
)
def test_again_it_mends_what_is_missing_and_rewrites_nothing_that_is_right(scene: Scene, words: dict[str, Any]) -> None:
    stock(scene, **words)
    scene.put(image("zone 5", 5, v={"S": "changed"}))
    scene.delete(key("zone 6", 6))
    tail(scene)
    backfill(scene)
    before = row_versions(scene)
    assert len(before) == ROWS

    again = backfill(scene)
    assert (again["rows"], again["written"]) == (ROWS - 1, 0)
    assert row_versions(scene) == before

    # One is deleted with all its versions, one overwritten by somebody, one deleted by a plain S3 tool.
    s3, store = scene.aws.client("s3"), scene.store()
    names = sorted(each.name for each in store.list(f"{scene.table}/"))
    lost, spoilt, hidden = random.Random(1).sample(names, 3)
    for each in list(store.versions(lost)):
        s3.delete_object(Bucket=scene.bucket, Key=f"backups/{lost}", VersionId=each.version)
    store.put(spoilt, b"who wrote this?")
    store.delete(hidden)
    mended = backfill(scene)
    assert mended["written"] == 3
    after = row_versions(scene)
    # The overwritten one: what was written over it, and the image again.
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {spoilt: 2, hidden: 2}
    assert after[lost] == 1
    on_top = {wire.key_of(scene.schema, store.get(name).body): store.get(name).body for name in names}
    assert same(on_top, scene.items())
    tail(scene)
    assert same(restored(scene, next_second()), scene.items())
    every = scene.call("history", scene.table, key("zone 3", 3).decode(), "--json").json()
    assert [each["event"] for each in every] == ["BACKFILL"], "seen four times, and told once"


@pytest.mark.parametrize("layout", [Layout.ROWS, pytest.param(Layout.LOG, marks=pytest.mark.soak)])
def test_a_row_that_is_deleted_or_changed_while_the_scan_runs(scene: Scene, proxy: FaultProxy, layout: Layout) -> None:
    """After its image was read, and before that is kept: the change comes first into the vault, the old image after it."""
    stock(scene, layout=layout)
    doomed, changed = key("zone 3", 3), image("zone 4", 4, v={"S": "changed"})

    def meanwhile(_: Request, response: Response) -> Response:
        scene.delete(doomed)
        scene.put(changed, image("new", 1))
        scene.tail()
        return response

    rule = proxy.on(rewrite(meanwhile), operation="Scan", when=nth(1))
    report = backfill(scene, "--segments", "1")
    assert (rule.fired, report["rows"]) == (1, ROWS)
    tail(scene)
    then = scene.items()
    assert same(restored(scene, next_second()), then)
    assert len(then) == ROWS
    for number, events in ((3, ["BACKFILL", "REMOVE"]), (4, ["BACKFILL", "MODIFY"])):
        history = scene.call("history", scene.table, key(f"zone {number}", number).decode(), "--json").json()
        assert [each["event"] for each in history] == events
    if layout is Layout.ROWS:
        on_top = {each.name for each in scene.store().list(f"{scene.table}/")}
        assert len(on_top) == len(then), "to plain S3 tools it is deleted, too"


# --- interrupted, and gone on with ------------------------------------------------------------------------------------------------


def small_pages(proxy: FaultProxy, items: int, then: Action = pass_on) -> Callable[[], Counter[int]]:
    """Have the table answer so few items at a time; how many pages were answered of each segment."""
    asked: Counter[int] = Counter()

    def act(request: Request, forward: Forward) -> Response:
        words = request.json()
        smaller = Request(request.method, request.path, request.headers, msgspec.json.encode({**words, "Limit": items}))
        response = then(smaller, forward)
        asked[words["Segment"]] += response.status == 200
        return response

    proxy.on(act, operation="Scan")
    return lambda: asked


def test_no_permission_on_one_segment(stocked: Scene, proxy: FaultProxy) -> None:
    def denied(request: Request, forward: Forward) -> Response:
        wait_for(lambda: sum(pages().values()) > 12)
        return DENIED(request, forward)

    rule = proxy.on(denied, operation="Scan", body=SECOND_SEGMENT)
    pages = small_pages(proxy, 3)
    before = status(stocked)
    said = backfill(stocked, code=1)
    assert rule.fired
    assert "not authorized" in said or "AccessDenied" in said
    assert "The rows read so far are kept" in said
    assert "Traceback" not in said
    vault = stocked.vault()
    assert vault.bases.complete() == []
    assert [len(vault.bases.parts_of(plan.id, 2)) for plan in vault.bases.plans()] == [0]
    kept = sum(part.count for plan in vault.bases.plans() for part in vault.bases.parts(plan.id))
    assert kept > 12
    after = status(stocked)
    assert [after[name] for name in ("window_from", "window_to", "ranges", "base_backups")] == [
        before[name] for name in ("window_from", "window_to", "ranges", "base_backups")
    ]
    assert restore(stocked, "now").code == 4

    proxy.clear()
    resumed = small_pages(proxy, 3)
    report = backfill(stocked)
    assert (report["resumed"], report["rows"]) == (True, ROWS)
    assert resumed()[2] > 1
    assert sum(resumed().values()) < ROWS / 3 / 2 + 4, "a whole one takes at least 20 pages"
    tail(stocked)
    assert same(restored(stocked, next_second()), stocked.items())


def test_a_fresh_one_does_not_go_on(stocked: Scene, proxy: FaultProxy) -> None:
    rule = proxy.on(DENIED, operation="Scan", body=SECOND_SEGMENT)
    backfill(stocked, code=1)
    proxy.remove(rule)
    fresh = backfill(stocked, "--fresh", "--segments", "2")
    assert (fresh["resumed"], fresh["rows"], fresh["segments"]) == (False, ROWS, 2)
    assert len(stocked.vault().bases.plans()) == 2


@pytest.mark.soak
def test_killed_at_random_instants_it_reads_no_finished_part_again(scene: Scene, proxy: FaultProxy) -> None:
    """Each part a page or two: whatever instant it is, some are written and some are not."""
    stock(scene, 200)
    source = random.Random(3)
    small_pages(proxy, 4, delay(0.05))
    scene.environment["PYTHONPATH"] = str(scene.folder)
    (scene.folder / "sitecustomize.py").write_text(
        "import backstream.operations.base.backfill.segment as segment\nsegment.PART_ROWS = 8\n"
    )
    seen: list[dict[str, float]] = []
    for _ in range(5):
        child = scene.start("backfill", scene.table, "--json", "--segments", "2")
        have = len(parts(scene))
        wait_for(lambda have=have: len(parts(scene)) > have or child.poll() is not None)  # type: ignore[misc] # noqa: B023 - called at once
        time.sleep(source.uniform(0, 0.15))  # the instant is what is at random
        child.kill()
        child.communicate()
        assert child.returncode == -signal.SIGKILL, "it was still at work"
        seen.append(parts(scene))
        assert scene.vault().bases.complete() == []
    ran = scene.run("backfill", scene.table, "--json")
    assert ran.code == 0, ran.err
    report = ran.json()
    assert (report["resumed"], report["rows"], report["segments"]) == (True, 200, 2)
    last = parts(scene)
    for earlier, later in zip(seen, [*seen[1:], last], strict=True):
        assert earlier.items() <= later.items(), "a finished part stays what it is"
    vault = scene.vault()
    (base,) = vault.bases.complete()
    found = [vault.key(entry) for part in vault.bases.whole(base) for entry in vault.bases.read(part)]
    assert len(found) == len(set(found)) == 200, "no row was read into two parts"
    tail(scene)
    assert same(restored(scene, next_second()), scene.items())


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.soak), signal.SIGTERM])
def test_stopped_by_hand(stocked: Scene, proxy: FaultProxy, number: signal.Signals) -> None:
    hold, asked = Hold(), count(1)

    def act(request: Request, forward: Forward) -> Response:
        return (hold if next(asked) > 5 else pass_on)(request, forward)

    small_pages(proxy, 2, act)
    child = stocked.start("backfill", stocked.table, "--segments", "2")
    with hold.caught():
        child.send_signal(number)
    out, said = child.communicate(timeout=240)
    assert (child.returncode, out) == (130, "")
    assert "the same command resumes there" in said
    assert "Traceback" not in said
    assert stocked.vault().bases.complete() == []
    kept = sum(part.count for plan in stocked.vault().bases.plans() for part in stocked.vault().bases.parts(plan.id))
    assert kept >= 6, "a segment that asks for its next page has kept the last one: two of five pages were on their way at most"
    proxy.clear()
    report = backfill(stocked)
    assert (report["resumed"], report["rows"]) == (True, ROWS)


@pytest.mark.soak
def test_two_at_the_same_time(stocked: Scene, proxy: FaultProxy) -> None:
    small_pages(proxy, 3, delay(0.02))
    children = [stocked.start("backfill", stocked.table, "--json", "--segments", "2") for _ in range(2)]
    ended = [child.communicate(timeout=240) for child in children]
    assert [child.returncode for child in children] == [0, 0], ended
    reports = [msgspec.json.decode(out) for out, _ in ended]
    assert [report["rows"] for report in reports] == [ROWS, ROWS]
    proxy.clear()
    tail(stocked)
    assert same(restored(stocked, next_second()), stocked.items())


def test_two_at_the_same_time_that_go_on_with_the_same_one(stocked: Scene, proxy: FaultProxy) -> None:
    rule = proxy.on(DENIED, operation="Scan", body=SECOND_SEGMENT)
    backfill(stocked, code=1)
    proxy.remove(rule)
    small_pages(proxy, 1, delay(0.02))
    children = [stocked.start("backfill", stocked.table, "--json") for _ in range(2)]
    ended = [child.communicate(timeout=240) for child in children]
    assert [child.returncode for child in children] == [0, 0], ended
    vault = stocked.vault()
    for base in vault.bases.complete():
        entries = [entry for part in vault.bases.whole(base) for entry in vault.bases.read(part)]
        assert {vault.key(entry) for entry in entries} == set(stocked.items())
    proxy.clear()
    tail(stocked)
    assert same(restored(stocked, next_second()), stocked.items())


# --- the table goes away ----------------------------------------------------------------------------------------------------------


def once_between_pages(proxy: FaultProxy, happening: Callable[[], object]) -> None:
    """After the third page has been answered."""

    def act(_: Request, response: Response) -> Response:
        happening()
        return response

    proxy.on(rewrite(act), operation="Scan", when=nth(3))
    small_pages(proxy, 4)


def test_a_table_that_is_deleted_during_the_scan(stocked: Scene, proxy: FaultProxy) -> None:
    client = stocked.aws.client("dynamodb")
    once_between_pages(proxy, lambda: client.delete_table(TableName=stocked.table))
    said = backfill(stocked, "--segments", "2", code=1)
    assert stocked.table in said
    assert "Traceback" not in said
    assert "defect" not in said
    assert stocked.vault().bases.complete() == []
    assert status(stocked)["window_from"] is None


@pytest.mark.parametrize("stream", [True, False])
def test_a_table_that_is_deleted_and_created_again_during_the_scan(stocked: Scene, proxy: FaultProxy, *, stream: bool) -> None:
    client = stocked.aws.client("dynamodb")

    def again() -> None:
        client.delete_table(TableName=stocked.table)
        stocked.create()
        if stream:
            stocked.live().enable_stream()
        stocked.put(image("another", 1))

    once_between_pages(proxy, again)
    said = backfill(stocked, "--segments", "1", code=4)
    assert "deleted and created again" in said
    assert stocked.vault().bases.complete() == []
    assert status(stocked)["window_from"] is None
    proxy.clear()
    if stream:
        report = backfill(stocked)
        assert (report["resumed"], report["rows"]) == (False, 1), "nothing of the other table's is gone on with"


# --- wrong words, wrong tables ----------------------------------------------------------------------------------------------------


def test_a_stream_that_is_off_is_refused(stocked: Scene) -> None:
    stocked.aws.client("dynamodb").update_table(TableName=stocked.table, StreamSpecification={"StreamEnabled": False})
    said = backfill(stocked, code=4)
    assert "stream" in said
    assert "--enable-stream" in said
    assert stocked.vault().bases.plans() == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--segments", "0"), "segments"),
        (("--segments", "257"), "segments"),
        (("--segments", "many"), "segments"),
        (("--max-read-units", "0"), "budget"),
        (("--max-read-units", "-1"), "budget"),
        (("--max-read-units", "nan"), "budget"),
        (("--max-read-units", "inf"), "budget"),
    ],
)
def test_wrong_words(stocked: Scene, words: Sequence[str], named: str) -> None:
    said = backfill(stocked, *words, code=2)
    assert named in said
    assert stocked.vault().bases.plans() == []


def test_a_vault_that_does_not_know_the_table(scene: Scene) -> None:
    scene.create()
    said = backfill(scene, code=1)
    assert "does not know the table" in said
    assert "backstream init" in said


def test_a_table_that_has_gone_or_has_another_key(stocked: Scene) -> None:
    client = stocked.aws.client("dynamodb")
    client.delete_table(TableName=stocked.table)
    assert stocked.table in backfill(stocked, code=1)
    client.create_table(
        TableName=stocked.table,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    assert "another key schema" in backfill(stocked, code=4)
    assert stocked.vault().bases.plans() == []


def test_an_empty_table(scene: Scene) -> None:
    scene.create()
    scene.put(image("a", 1))
    scene.init()
    scene.delete(key("a", 1))
    report = backfill(scene, "--segments", "3")
    assert (report["rows"], report["written"]) == (0, 0)
    tail(scene)
    assert status(scene)["window_from"] == report["ended"]
    assert restored(scene, next_second()) == {}


# --- the read budget --------------------------------------------------------------------------------------------------------------


class Meter:
    """When each page of a scan was answered, and the read units it took: as DynamoDB counts, by the sizes of its items."""

    def __init__(self, proxy: FaultProxy, *, told: bool) -> None:
        self.pages: list[tuple[float, float]] = []
        self._told = told
        proxy.on(rewrite(self._measure), operation="Scan")

    def _measure(self, _: Request, response: Response) -> Response:
        answer = msgspec.json.decode(response.body, type=dict[str, msgspec.Raw])
        items = msgspec.json.decode(answer.get("Items", msgspec.Raw(b"[]")), type=list[msgspec.Raw])
        units = max(1.0, float(-(-sum(sizes.item_bytes(bytes(item)) for item in items) // sizes.READ_UNIT)))
        self.pages.append((time.monotonic(), units))
        answer.pop("ConsumedCapacity", None)
        if self._told:
            answer["ConsumedCapacity"] = msgspec.Raw(msgspec.json.encode({"CapacityUnits": units}))
        return response.with_body(msgspec.json.encode(answer))

    def most_in(self, seconds: float) -> float:
        """The most units in any such time."""
        return max(sum(units for at, units in self.pages if begin <= at < begin + seconds) for begin, _ in self.pages)

    @property
    def average(self) -> float:
        """Units a second, from the first page to the last, which is not paid for any more."""
        return sum(units for _, units in self.pages[:-1]) / (self.pages[-1][0] - self.pages[0][0])


@pytest.mark.parametrize(
    ("rows", "size", "budget", "told"),
    [
        pytest.param(440, (2_900, 3_900), 40, True, id="items of 3 to 4 KB", marks=pytest.mark.soak),
        pytest.param(160, (2_900, 3_900), 40, False, id="whose units nobody tells", marks=pytest.mark.soak),
        pytest.param(1_600, (80, 100), 8, True, id="items of 100 bytes", marks=pytest.mark.soak),
    ],
)
def test_the_read_budget_holds_and_is_used(
    scene: Scene, proxy: FaultProxy, rows: int, size: tuple[int, int], budget: int, *, told: bool
) -> None:
    scene.create()
    source = random.Random(rows)
    scene.write(Put(image("z", number, f={"S": "x" * source.randint(*size)})) for number in range(rows))
    scene.init(layout=Layout.LOG)
    meter = Meter(proxy, told=told)
    report = backfill(scene, "--max-read-units", str(budget))
    assert report["rows"] == rows
    if told:
        assert report["read_units"] == sum(units for _, units in meter.pages)
    assert meter.most_in(10.0) <= 10 * budget * 1.05
    assert meter.average >= 0.3 * budget, "a busy machine keeps it waiting, too"


def test_a_budget_below_one_page_is_kept_too(scene: Scene, proxy: FaultProxy) -> None:
    """One item of 40 KB takes ten units: with two a second there are five seconds between two of them."""
    scene.create()
    scene.put(*(image("z", number, f={"S": "x" * 40_000}) for number in range(2)))
    scene.init(layout=Layout.LOG)
    meter = Meter(proxy, told=True)
    report = backfill(scene, "--max-read-units", "4", "--segments", "1")
    assert report["rows"] == 2
    large = [at for at, units in meter.pages if units >= 10]
    assert len(large) == 2
    assert large[1] - large[0] >= 2.0


def test_a_budget_does_not_hold_up_who_stops_it(stocked: Scene) -> None:
    child = stocked.start("backfill", stocked.table, "--max-read-units", "0.01")
    wait_for(lambda: bool(stocked.vault().bases.plans()))
    child.send_signal(signal.SIGINT)
    try:
        child.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        child.kill()
        raise
    assert child.returncode == 130
