"""One zip, from our source and the locked wheels."""

from __future__ import annotations

from pathlib import Path

from lambda_zip import archive, sbom
from lambda_zip.check import check
from lambda_zip.contents import contents
from lambda_zip.targets import Target
from lambda_zip.wheels import wheels

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "build" / "lambda-wheels"


def build(target: Target, out: Path) -> Path:
    """Where it was written, in the folder `out`; its bill of materials lies beside it. CannotBuild where the wheels cannot be had,
    or do not fit the target.
    """
    files = contents(target, CACHE)
    check(files, target)
    path = out / f"{target.name}.zip"
    archive.write(path, files)
    bill_of(path).write_bytes(sbom.encode(sbom.bill(files, path, wheels(target, CACHE))))
    return path


def bill_of(path: Path) -> Path:
    """Where the bill of materials of a zip lies: `NAME.cdx.json`."""
    return path.with_suffix(".cdx.json")
