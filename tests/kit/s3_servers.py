"""S3 servers of others, for `kit.servers`: each listens on loopback, and ends with its block by its own process id.

`make servers` lays them into build/servers, as far as the package indexes have them. One that is missing raises FileNotFoundError.
"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from backstream.apps.embedded import EmbeddedServers
from kit.aws import Aws

HOME = Path(__file__).parent.parent.parent / "build" / "servers"
KEYS = {"AWS_ACCESS_KEY_ID": "backstream", "AWS_SECRET_ACCESS_KEY": "backstream-secret", "AWS_DEFAULT_REGION": "us-east-1"}
PATIENCE = 120  # seconds for a server to answer
Server = Callable[[], AbstractContextManager[tuple[str, Aws]]]


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def process(*words: str, cwd: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block."""
    running = subprocess.Popen(words, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def answering(url: str, running: subprocess.Popen[bytes]) -> Aws:
    """The server, once it answers."""
    host, port = url.removeprefix("http://").split(":")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and running.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return Aws({**KEYS, "AWS_ENDPOINT_URL": url})
        time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer (exit code {running.returncode})")


@contextmanager
def ministack() -> Iterator[tuple[str, Aws]]:
    with EmbeddedServers() as servers:
        yield _of_package("ministack", sys.executable), Aws(servers.environment())


@contextmanager
def moto() -> Iterator[tuple[str, Aws]]:
    program, port = _there("moto/bin/moto_server"), free_port()
    with process(program, "-H", "127.0.0.1", "-p", str(port)) as running:
        yield _of_package("moto", _there("moto/bin/python")), answering(f"http://127.0.0.1:{port}", running)


@contextmanager
def s3rver() -> Iterator[tuple[str, Aws]]:
    program, port = _there("node_modules/.bin/s3rver"), free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        process(program, "-d", folder, "-a", "127.0.0.1", "-p", str(port), "-s") as running,
    ):
        found = answering(f"http://127.0.0.1:{port}", running)
        yield "3.7.1", Aws({**found.environment, "AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER"})


def ceph(release: str) -> Server:
    """The gateway of this release of Debian, from the folder into which its packages were unpacked."""
    return lambda: _ceph(HOME / f"ceph-{release}")


@contextmanager
def _ceph(root: Path) -> Iterator[tuple[str, Aws]]:
    """A cluster of one monitor and one store in memory, and the gateway. Its programs see `root` alone, so it takes a root user.

    A day of a lifecycle rule takes two seconds.
    """
    _there(f"{root.name}/usr/bin/radosgw")
    (root / "srv").mkdir(exist_ok=True)
    # A mount namespace of its own: what is mounted in it ends with the program.
    inside = (
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mkdir -p "$0/proc" && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"',
        str(root),
    )

    def run(*words: str) -> str:
        done = subprocess.run([*inside, *words], capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)[:80]}: {done.stderr.strip()[-300:]}")
        return done.stdout

    with tempfile.TemporaryDirectory(prefix="ceph-", dir=root / "srv") as outside, ExitStack() as stack:
        folder = f"/srv/{Path(outside).name}"
        conf, monitor, port, fsid = f"{folder}/ceph.conf", free_port(), free_port(), str(uuid.uuid4())
        Path(f"{outside}/ceph.conf").write_text(_CONF.format(fsid=fsid, mon=monitor, folder=folder, port=port))
        Path(f"{outside}/osd").mkdir()

        def start(program: str, *words: str) -> subprocess.Popen[bytes]:
            return stack.enter_context(process(*inside, program, "-c", conf, *words, "-f"))

        keyring, caps = f"{folder}/keyring", ("--cap", "mon", "allow *", "--cap", "osd", "allow *")
        run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *caps)
        run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{monitor}]", f"{folder}/monmap")
        run("ceph-mon", "-c", conf, "--mkfs", "-i", "a", "--monmap", f"{folder}/monmap", "--keyring", keyring)
        start("ceph-mon", "-i", "a")
        number = run("ceph", "-c", conf, "osd", "create").strip()
        key = run("ceph", "-c", conf, "auth", "get-or-create", f"osd.{number}", "mon", "allow *", "osd", "allow *")
        with Path(f"{outside}/keyring").open("a") as keys:
            keys.write(key)
        run("ceph-osd", "-c", conf, "-i", number, "--mkfs", "--osd-data", f"{folder}/osd")
        start("ceph-osd", "-i", number, "--osd-data", f"{folder}/osd")
        secrets = ("--access-key", KEYS["AWS_ACCESS_KEY_ID"], "--secret", KEYS["AWS_SECRET_ACCESS_KEY"])
        run("radosgw-admin", "-c", conf, "user", "create", "--uid=tests", "--display-name=tests", *secrets)
        gateway = start("radosgw", "-n", "client.admin")
        version = re.search(r"version ([0-9.]+)", run("radosgw", "--version"))
        yield version[1] if version else "", answering(f"http://127.0.0.1:{port}", gateway)


_CONF = """[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon}/0]
mon initial members = a
public addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
mon allow pool size one = true
mon data = {folder}/mon
run dir = {folder}
keyring = {folder}/keyring
log file =
admin socket = {folder}/$name.asok
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw data = {folder}
rgw lc debug interval = 2
"""


def _there(name: str) -> str:
    if not (HOME / name).exists():
        raise FileNotFoundError(f"build/servers/{name} is not there")
    return str(HOME / name)


def _of_package(name: str, python: str) -> str:
    words = (python, "-c", f"from importlib.metadata import version; print(version({name!r}))")
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


SERVERS: Mapping[str, Server] = {
    "ministack": ministack,
    "moto": moto,
    "s3rver": s3rver,
    "Ceph RGW (bookworm)": ceph("bookworm"),
    "Ceph RGW (sid)": ceph("sid"),
}
