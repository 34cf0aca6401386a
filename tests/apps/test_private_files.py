"""What the command writes is for its user alone."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

from backstream.clock import SystemClock
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from kit.feed import Feed
from kit.images import image
from kit.scene import COMMAND

AT = 1_763_900_000


def test_a_restored_file_and_its_folder(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    feed = Feed(DirectoryStore(tmp_path / "vault", SystemClock()), "flights", began=AT - 600, layout=Layout.LOG)
    feed.put(AT - 100, image("row", 1))
    feed.deliver()
    target = tmp_path / "new" / "items.json"
    words = ["restore", "flights", "--vault", f"file://{tmp_path}/vault", "--at", str(AT), "--allow-gap", "--to-file", str(target)]
    environment = {"PATH": "/usr/bin:/bin", "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "us-east-1", "HOME": str(tmp_path)}
    target.parent.mkdir()
    done = subprocess.run(["/bin/sh", "-c", 'umask 022; exec "$@"', "sh", COMMAND, *words], env=environment, check=False)
    assert done.returncode == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
