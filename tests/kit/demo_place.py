"""Where a demo runs as a process of its own, and what it leaves there."""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

DEMO = (sys.executable, "-m", "backstream", "demo")
STOPPED = 130


class Place:
    """Where a demo runs: a folder for its temporary files, and a mark in the environment that all its processes inherit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.environment = {**os.environ, "TMPDIR": str(folder), "PLACE_OF_THIS_DEMO": self.mark, "PYTHONUNBUFFERED": "1"}

    def processes(self) -> list[int]:
        """Every living process that a demo started here, wherever in the tree it stands by now."""
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            try:
                environment = (each / "environ").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            if self.mark.encode() in environment:
                found.append(int(each.name))
        return found

    def files(self) -> list[str]:
        """What lies in the folder for temporary files."""
        return [path.name for path in self.folder.iterdir()]
