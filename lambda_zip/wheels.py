"""The wheels of what the function depends on: exactly those that the lock file names, by version and by hash.

`renew` writes the lock file: the versions of the environment that runs it, which are the ones that the tests ran with, and the
hashes of their wheels for every interpreter and machine that a zip can be built for.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from lambda_zip.targets import Target, linux

LOCK = Path(__file__).with_name("requirements.txt")
ROOTS = ("botocore", "msgspec", "pycurl", "zstandard")
_PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_MAC = ("macosx_14_0_arm64", "macosx_13_0_arm64", "macosx_12_0_arm64", "macosx_11_0_arm64")
_LOCKED = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?P<hashes>(?: \\\n +--hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)
LAST_WORDS = 6  # lines
_HEAD = """\
# What the Lambda zip holds besides backstream, with the hashes of the wheels. Written by `make lambda-lock`, not by hand.
"""


class CannotBuild(Exception):
    """What is wanted cannot be built; the message says why, and what to do."""


def locked(lock: Path = LOCK) -> Mapping[str, frozenset[str]]:
    """`name==version` to the SHA-256 of each of its wheels, in hex."""
    found = {
        f"{each['name']}=={each['version']}": frozenset(re.findall(r"sha256:(\w+)", each["hashes"]))
        for each in _LOCKED.finditer(lock.read_text())
    }
    if not found:
        raise CannotBuild(f"{lock} names nothing: write it anew with `make lambda-lock`")
    return found


def wheels(target: Target, cache: Path) -> list[Path]:
    """A wheel for each locked distribution, sorted by name. pip is asked only for what does not lie in `cache` yet.

    CannotBuild where pip finds no wheel with a locked hash.
    """
    folder = cache / f"{target.python}-{target.machine}{'' if target.platforms else '-here'}"
    found = _of_lock(folder)
    if len(found) < len(locked()):
        _download(target, folder)
        found = _of_lock(folder)
    if len(found) < len(locked()):
        raise CannotBuild(f"{folder} lacks some of what {LOCK.name} names: remove the folder, and try again")
    return [found[requirement] for requirement in sorted(found)]


def _of_lock(folder: Path) -> dict[str, Path]:
    by_hash = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in sorted(folder.glob("*.whl"))}
    return {
        requirement: by_hash[digest] for requirement, hashes in locked().items() for digest in sorted(hashes & by_hash.keys())[:1]
    }


def _download(target: Target, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    words = ["--require-hashes", "--no-deps", "--only-binary=:all:", *target.pip_words]
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        done = _pip("download", "--quiet", "--dest", fresh, *words, "--requirement", str(LOCK))
        if done.returncode:
            told = "\n".join(done.stderr.splitlines()[-LAST_WORDS:])
            raise CannotBuild(
                f"pip found no wheels of {LOCK.name} for Python {target.python} on {target.machine}:\n{told}\n"
                "Is the package index within reach? What the lock does not know yet is added by `make lambda-lock`."
            )
        for wheel in Path(fresh).glob("*.whl"):
            wheel.replace(folder / wheel.name)  # whole or not at all: another build may be looking


def _pip(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", *words, "--disable-pip-version-check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# --- the lock file ----------------------------------------------------------------------------------------------------------------


def renew(lock: Path = LOCK, roots: Sequence[str] = ROOTS, head: str = _HEAD) -> None:
    """Write a lock file of these distributions and what they need. CannotBuild where one has no wheel for one of the targets."""
    versions = {name: metadata.version(name) for name in needed(roots)}
    requirements = [f"{name}=={version}" for name, version in sorted(versions.items())]
    hashes: dict[str, set[str]] = {requirement: set() for requirement in requirements}
    for python in _PYTHONS:
        for target in (linux(python, "x86_64"), linux(python, "aarch64"), Target(python, "arm64", _MAC)):
            for requirement, digest in _resolved(target, requirements).items():
                hashes[requirement].add(digest)
    lines = [" \\\n".join([each, *(f"    --hash=sha256:{digest}" for digest in sorted(hashes[each]))]) for each in requirements]
    lock.write_text(head + "\n".join(lines) + "\n")


def needed(names: Sequence[str]) -> set[str]:
    """These distributions and what they need, as this environment has them: what only other systems need is not there."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonical(waiting.pop())
        if name in found or not _is_here(name):
            continue
        found.add(name)
        needs = [each for each in metadata.requires(name) or () if "extra ==" not in each]
        waiting.extend(map(name_in, needs))
    return found


def name_in(requirement: str) -> str:
    """The distribution that a requirement names: `click` of `click>=8.2`."""
    return canonical(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])


def canonical(name: str) -> str:
    """A distribution's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_here(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _resolved(target: Target, requirements: Sequence[str]) -> dict[str, str]:
    """The hash of the wheel that pip would install of each."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        where = ["--target", folder, "--report", str(report), "--dry-run", "--ignore-installed"]
        done = _pip("install", "--quiet", "--no-deps", "--only-binary=:all:", *where, *target.pip_words, *requirements)
        if done.returncode:
            raise CannotBuild(f"no wheels for Python {target.python} on {target.platforms[0]}:\n{done.stderr}")
        installed = json.loads(report.read_text())["install"]
    names = [f"{canonical(each['metadata']['name'])}=={each['metadata']['version']}" for each in installed]
    return dict(zip(names, (each["download_info"]["archive_info"]["hashes"]["sha256"] for each in installed), strict=True))
