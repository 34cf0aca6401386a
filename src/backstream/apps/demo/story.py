"""The story, in its order: a day of flights, a bad deploy, the way back, the proof."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from backstream.apps.demo import flights, proof
from backstream.apps.demo.airport import TABLE, Airport, plain_client
from backstream.apps.demo.board import Board
from backstream.apps.demo.deploy import DeployDamage, bad_deploy
from backstream.apps.demo.narration import Narration
from backstream.apps.demo.night import CREATED, DELETED, TOUCHED, UPDATED, WHERE, Night
from backstream.apps.demo.proof import Copy
from backstream.apps.demo.shell import Job, Shell, environment
from backstream.apps.embedded import EmbeddedServers
from backstream.apps.loading.screens_installed import check_installed
from backstream.clock import SystemClock
from backstream.errors import Failed
from backstream.model import moment
from backstream.ports import Clock

if TYPE_CHECKING:  # type stubs only: the package is not there at run time
    from mypy_boto3_dynamodb import DynamoDBClient

VAULT = "s3://flights-vault"
DAY_SECONDS = 10.0  # how long the day takes
PATIENCE = 60.0  # seconds for the tail to come as far as the story needs it
POLL = 1.0
MARGIN = 0.05  # a sleep may end a little early

# Due at 7:00, announced late, left at 11:33, landed at 14:48.
ONE_FLIGHT = '{"flight":"DL2003","scheduled":"2013-02-08T07:00"}'


class VaultReach(msgspec.Struct, frozen=True):
    """The fields of `backstream status --json` that say how far the vault is."""

    changes: int
    window_to: str | None


def tell(*, stay: bool = False) -> None:
    """Tell it on servers of its own. DifferencesFound where a row does not come back; nothing stays behind in any case.

    `stay`: then show it all in a browser, until it is stopped. Failed, before anything else, where the screens are not installed.
    """
    if stay:
        check_installed()
    clock = SystemClock()
    narration = Narration(clock)
    began = clock.now()
    day = flights.rows()
    with tempfile.TemporaryDirectory(prefix="backstream-demo-") as name, EmbeddedServers(clock=clock) as servers:
        folder = Path(name)
        variables = environment(servers.environment(), VAULT, folder)
        client = plain_client(servers.url, variables["AWS_REGION"])
        _introduce(narration, servers.url)
        _Story(narration, Shell(narration, variables, folder), client, clock, day).tell(stay=stay)
    _sum_up(narration, clock.now() - began)


def _introduce(narration: Narration, url: str) -> None:
    narration.title("Backstream: a bad deploy, undone")
    narration.say(
        "8 February 2013, a blizzard reaches New York: 930 flights, 472 of them cancelled. The demo plays that day into a DynamoDB "
        "table. A bad deploy ruins the table, and Backstream brings every row back to the second before. It takes about a minute."
    )
    narration.say(f"All of it happens on this machine: the DynamoDB and the S3 are ministack, at {url}. AWS is not touched.")


def _sum_up(narration: Narration, seconds: float) -> None:
    narration.facts([*((title, f"{took:5.1f} s") for title, took in narration.steps), ("in all", f"{seconds:5.1f} s")])
    narration.say(f"To look at this night in a browser: {own_command()} demo --stay")


def own_command() -> str:
    """Returns how this program was called, so that the line works where it is copied from."""
    called = Path(sys.argv[0])
    if called.name != "backstream":
        return f"{sys.executable} -m backstream"
    return called.name if shutil.which(called.name) else str(called)


class _Story:
    def __init__(self, narration: Narration, shell: Shell, client: DynamoDBClient, clock: Clock, day: list[flights.Row]) -> None:
        self._narration = narration
        self._shell = shell
        self._client = client
        self._clock = clock
        self._airport = Airport(client, clock)
        self._day = day
        self._events = flights.events(day)
        self._written = 0

    def tell(self, *, stay: bool) -> None:
        step = self._narration.step
        with ExitStack() as stack:
            with step("A table, and a vault for it"):
                tail = stack.enter_context(self._prepare())
            with step("The day"):
                self._play_the_day(tail)
            with step("The life of one flight"):
                self._show_one_flight()
            with step("A bad deploy"):
                good, at, damage = self._ruin()
            with step("Back to the second before"):
                self._restore(at, tail)
            with step("The proof"):
                self._prove(good, damage, tail)
            with step("Another night: only the bad writes"):
                self._undo_only_the_bad_writes(good, tail)
            if stay:
                self._stay(good, tail)
            with step("The end"):
                self._end(tail)

    def _prepare(self) -> Job:
        self._airport.open()
        self._narration.say(
            f"The table `{TABLE}` is there, empty. Two commands put it under protection; the second one stays at work."
        )
        self._narration.command(f"export BACKSTREAM_VAULT={VAULT}")
        self._shell.run("init", TABLE, "--enable-stream", "--create-bucket")
        return self._shell.in_background("tail", TABLE)

    def _play_the_day(self, tail: Job) -> None:
        say = self._narration.say
        say("930 flights are announced. Then the airports' clock runs: each departure, landing or cancellation is one UpdateItem.")
        began = self._clock.now()
        self._airport.put(map(flights.published, self._day))
        Board(self._narration, len(self._day)).follow(self._airport.play(self._events, DAY_SECONDS))
        self._written = len(self._day) + len(self._events)
        took = self._clock.now() - began
        self._await(tail, lambda reached: reached.changes >= self._written)
        late = self._clock.now() - began - took
        say(
            f"{self._written:,} writes in {took:.1f} s; the tail had all of them in the vault {late:.1f} s later. "
            "(The three flights that stay departed were diverted.)"
        )

    def _show_one_flight(self) -> None:
        self._narration.say("Delta 2003 to Miami was due at 7:00. Its versions, and what each change changed:")
        self._shell.run("history", TABLE, ONE_FLIGHT, "--diff")

    def _ruin(self) -> tuple[Copy, int, DeployDamage]:
        """The rows as they were, the second to go back to, and what was done to them."""
        good = proof.scan(self._client, TABLE)
        at = self._quiet_second()
        began = self._clock.now()
        damage = bad_deploy(self._airport, self._events)
        self._narration.say(
            f"All is well at {moment.iso(at)}; the demo keeps a copy of all {len(good.rows)} rows aside. "
            f"At {moment.iso(began)} a release goes out that misreads its feed. In {self._clock.now() - began:.1f} s it sets the "
            f"status of {damage.ruined} flights to null and their times to nonsense, deletes {damage.deleted} cancelled flights "
            f"and leaves {damage.left_behind} trial rows behind."
        )
        self._written += damage.writes
        self._check_eyes(good, damage)
        return good, at, damage

    def _quiet_second(self) -> int:
        """Let a whole second pass without a write: times are to the second, and the state at one includes all of it."""
        quiet = int(self._clock.now()) + 1
        self._clock.sleep(quiet + 1 + MARGIN - self._clock.now())
        return quiet

    def _check_eyes(self, good: Copy, damage: DeployDamage) -> None:
        """The comparison must see the damage, or else it could not prove anything later."""
        found = proof.compare(good, proof.scan(self._client, TABLE))
        seen = DeployDamage(len(found.different), len(found.missing), len(found.extra))
        if seen != damage:
            raise Failed(f"the demo's own comparison is blind: {damage} was done, {seen} was seen")

    def _restore(self, at: int, tail: Job) -> None:
        say = self._narration.say
        say("Restores are exact up to where the tail has told the vault that nothing is missing; it does so every ten seconds.")
        self._await(tail, lambda reached: reached.window_to is not None and reached.window_to >= moment.iso(at))
        self._shell.run("status", TABLE)
        say(
            "Only rows that differ are written. The application and the tail may continue: the restore is captured, too. "
            "The present rows go into a file first. With it, `--undo` takes back exactly this restore."
        )
        self._shell.run("restore", TABLE, "--in-place", "--at", moment.iso(at), "--yes")

    def _prove(self, good: Copy, damage: DeployDamage, tail: Job) -> None:
        now = proof.scan(self._client, TABLE)
        proof.prove(good, now)
        self._narration.say(
            "A plain botocore client, none of Backstream's code, reads the whole table again, strongly consistent, "
            "and compares it with the copy:"
        )
        self._narration.facts([_fingerprint("then", good), _fingerprint("now", now)])
        self._narration.good(f"All {len(now.rows)} rows are back, byte for byte. None is missing, none is too many.")
        self._narration.say("Nothing was overwritten in the vault. The ruin and the repair are history now, too:")
        self._written += damage.writes
        self._await(tail, lambda reached: reached.changes >= self._written)
        self._shell.run_tail("history", TABLE, ONE_FLIGHT, "--diff", lines=8)

    def _undo_only_the_bad_writes(self, good: Copy, tail: Job) -> None:
        say, night = self._narration.say, Night(self._airport, self._events, good)
        begun = self._quiet_second()
        night.release()
        ended = self._quiet_second()
        night.passengers()
        say(
            f"Another release ruins {_night_words()}. Passengers go on booking, also five of the ruined flights. To go back to "
            "the second before would lose these bookings. What did the release touch?"
        )
        self._await(tail, lambda reached: reached.window_to is not None and reached.window_to >= moment.iso(ended))
        window = ["--from", moment.iso(begun), "--to", moment.iso(ended), "--where", WHERE]
        self._shell.run("changes", TABLE, *window, "--summary")
        say(f"Exactly these {TOUCHED} rows are brought back, attribute by attribute. Later writes of others stay.")
        self._shell.run("revert", TABLE, *window, "--yes")
        now = proof.scan(self._client, TABLE)
        proof.prove(night.expected(), now)
        self._narration.good(f"The {TOUCHED} rows are back, and every booking is still there, byte for byte.")
        self._written += night.writes
        self._await(tail, lambda reached: reached.changes >= self._written)

    def _stay(self, good: Copy, tail: Job) -> None:
        """Leave a third night to the reader, and show it in a browser. The tail stays at work until somebody stops the demo."""
        say = self._narration.say
        third = Night(self._airport, self._events, good, first=2_000)
        begun = self._quiet_second()
        third.release(alone=True)
        ended = self._quiet_second()
        third.passengers()
        self._await(tail, lambda reached: reached.window_to is not None and reached.window_to >= moment.iso(ended))
        say(
            f"A third night is left to you. A release ruins {_night_words()}, after {moment.iso(begun)} and up to "
            f"{moment.iso(ended)}. The page docs/runbook.md has the commands. Paste this into another terminal first:"
        )
        self._narration.output(self._shell.exports())
        say("Or undo it by clicks: open the address below. The servers and the tail stay; Ctrl-C ends all of it.")
        self._shell.run("web", "--allow-restore")

    def _end(self, tail: Job) -> None:
        self._narration.command("kill %1")
        self._narration.output(tail.stop())

    def _await(self, tail: Job, enough: Callable[[VaultReach], bool]) -> None:
        """Ask for the vault's status until the tail has come that far."""
        deadline = self._clock.now() + PATIENCE
        while not enough(msgspec.json.decode(self._shell.ask("status", TABLE, "--json"), type=VaultReach)):
            tail.check()
            if self._clock.now() > deadline:
                raise Failed(f"the tail fell behind: it did not come as far as the demo needs within {PATIENCE:.0f} s")
            self._clock.sleep(POLL)


def _night_words() -> str:
    """Returns the second release's writes, in numbers."""
    return f"{UPDATED} rows, deletes {DELETED} and leaves {CREATED} behind"


def _fingerprint(name: str, copy: Copy) -> tuple[str, str]:
    return name, f"{len(copy.rows)} rows, sha256 {copy.sha256[:32]}..."
