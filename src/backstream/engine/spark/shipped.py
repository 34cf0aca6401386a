"""The package as a zip, for executors, which run the driver's version. `python -m backstream.engine.spark.shipped FILE`."""

from __future__ import annotations

import sys
import zipfile
from hashlib import sha256
from pathlib import Path

from backstream import version

ALWAYS = (1980, 1, 1, 0, 0, 0)  # the time of every file in it: the same source gives the same bytes


def package() -> Path:
    """Returns the folder of the package, or the zip that it was loaded from."""
    own = Path(version.__file__).parent
    return next((each for each in own.parents if each.is_file()), own)


def write(path: Path) -> Path:
    """Writes the zip to a file, or returns the zip that the package was loaded from."""
    own = package()
    if own.is_file():
        return own
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in sorted(own.rglob("*.py")):
            archive.writestr(
                zipfile.ZipInfo(str(Path(own.name) / each.relative_to(own)), ALWAYS), each.read_bytes(), zipfile.ZIP_DEFLATED
            )
    return path


def write_named(folder: Path) -> Path:
    """Writes the zip under a name that tells its contents: Spark takes no two files of one name."""
    made = write(folder / "backstream.zip")
    return made if made.parent != folder else made.rename(folder / f"backstream-{sha256(made.read_bytes()).hexdigest()[:12]}.zip")


if __name__ == "__main__":
    sys.stdout.write(f"{write(Path(sys.argv[1]))}\n")
