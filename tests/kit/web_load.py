"""Many people who browse a vault at once, against the real server: `backstream web` as a process of its own, over HTTP.

    python -m kit.web_load FOLDER [SECONDS]

FOLDER holds a vault of `kit.compacted_vault`. It prints the figures that stand in docs/web.md.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from backstream.model import moment
from kit.compacted_vault import CHANGES, TABLE, VERSIONS, Written, key_of
from kit.scene import COMMAND

USERS = 20
THINKING = 2.0  # seconds between two screens of one user, on average
PATIENCE = 60.0
TABLE_SCREEN = f"/t/{TABLE}"
RECENTLY = moment.iso(Written(CHANGES).second(CHANGES))


class Figures(msgspec.Struct, frozen=True):
    """What a load has shown. Times are seconds; `memory`: the server's greatest, in bytes; `failed`: answers other than 200."""

    first_paint: float
    first_cpu: float
    items: list[float]
    others: list[float]
    failed: list[str]
    memory_before: int
    memory: int
    cpu: float

    def percentile(self, share: float) -> float:
        """The time within which that share of the item screens came."""
        return sorted(self.items)[min(len(self.items) - 1, int(len(self.items) * share))]


class Running:
    """The server. `cookie`: of a visitor who has come in."""

    def __init__(self, process: subprocess.Popen[str], port: int, cookie: str) -> None:
        self.port = port
        self._process = process
        self._cookie = cookie

    def memory(self, which: str = "VmHWM") -> int:
        """The bytes in memory, at most (`VmHWM`) or now (`VmRSS`)."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{which}:"))

    def cpu(self) -> float:
        """The processor time so far, in seconds."""
        words = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def connection(self) -> http.client.HTTPConnection:
        """A connection of a browser's, which stays."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def get(self, connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes, float]:
        """A screen: its status, its body, and the seconds that it took."""
        began = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": self._cookie})
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, body, time.perf_counter() - began


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    """`backstream web` over a vault in a folder, until the end of the block."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BACKSTREAM_"))}
    words = [COMMAND, "web", "--vault", folder.absolute().as_uri()]
    with subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            parts = urlsplit(process.stdout.readline().strip())
            connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=PATIENCE)
            connection.request("GET", f"{parts.path}?{parts.query}")
            opened = connection.getresponse()
            opened.read()
            connection.close()
            yield Running(process, parts.port or 0, opened.headers["Set-Cookie"].partition(";")[0])
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
        finally:
            process.kill()


def browse(server: Running, items: int, seconds: float, users: int = USERS) -> Figures:
    """So many users for so long: four of five screens are items, each another one; the rest the vault, the timeline and changes."""
    begun = server.cpu()
    status, body, first = server.get(server.connection(), TABLE_SCREEN)
    first_cpu = server.cpu() - begun
    assert (status, b"<svg" in body) == (200, True)
    before, cpu = server.memory(), server.cpu()
    lock, found, others, failed = threading.Lock(), list[float](), list[float](), list[str]()
    until = time.monotonic() + seconds

    def user(number: int) -> None:
        chance, connection = random.Random(number), server.connection()
        while time.monotonic() < until:
            time.sleep(chance.uniform(0, 2 * THINKING))
            path, is_item = _screen(chance, items)
            status, _, took = server.get(connection, path)
            with lock:
                (found if is_item else others).append(took)
                failed.extend([f"{status}: {path}"] if status != 200 else [])
        connection.close()

    threads = [threading.Thread(target=user, args=(number,)) for number in range(users)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return Figures(first, first_cpu, found, others, failed, before, server.memory(), server.cpu() - cpu)


def _screen(chance: random.Random, items: int) -> tuple[str, bool]:
    if chance.random() < 0.8:
        return f"{TABLE_SCREEN}/item?{urlencode({'key': key_of(chance.randrange(items)).decode()})}", True
    return chance.choice(("/", TABLE_SCREEN, f"{TABLE_SCREEN}/changes?part=1&from={quote(RECENTLY)}")), False


def alone(server: Running, items: int, count: int) -> list[float]:
    """The seconds that item screens take one after another, with nobody else."""
    chance, connection = random.Random(0), server.connection()
    return [
        server.get(connection, f"{TABLE_SCREEN}/item?{urlencode({'key': key_of(chance.randrange(items)).decode()})}")[2]
        for _ in range(count)
    ]


def told(figures: Figures, single: list[float]) -> str:
    """The figures in words. `single`: of item screens with nobody else."""
    ordered = sorted(single)
    lines = [
        f"first paint of the table screen: {figures.first_paint * 1e3:.0f} ms, CPU {figures.first_cpu * 1e3:.0f} ms",
        f"an item screen alone: median {ordered[len(ordered) // 2] * 1e3:.0f} ms, greatest {ordered[-1] * 1e3:.0f} ms",
        *(
            f"item screens under load, p{share * 100:.0f}: {figures.percentile(share) * 1e3:.0f} ms of {len(figures.items)}"
            for share in (0.5, 0.95, 0.99)
        ),
        f"other screens: {len(figures.others)}, greatest {max(figures.others, default=0) * 1e3:.0f} ms",
        f"failed: {figures.failed[:5] or 'none'}",
        f"memory: {figures.memory_before / 1e6:.0f} MB before, {figures.memory / 1e6:.0f} MB at most; CPU {figures.cpu:.1f} s",
        f"CPU a screen: {figures.cpu / max(1, len(figures.items) + len(figures.others)) * 1e3:.0f} ms",
    ]
    return "\n".join(lines) + "\n"


def main(folder: Path, seconds: float) -> None:
    """Prints the figures."""
    items = CHANGES // VERSIONS
    with running(folder) as server:
        figures = browse(server, items, seconds)
        single = alone(server, items, 50)
    sys.stdout.write(told(figures, single))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
