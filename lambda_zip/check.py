"""Whether what was gathered can run where it is meant for: a shared object of another machine fails only at the first import."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lambda_zip.targets import ELF_MACHINES, Target
from lambda_zip.wheels import CannotBuild

_SHARED_OBJECT = re.compile(r"\.so(\.\d+)*$")
_OF_AN_INTERPRETER = re.compile(r"\.cpython-\d+[a-z]*-.*$")
ELF = b"\x7fELF"
_MACHINE = slice(18, 20)  # e_machine, little-endian on both machines: elf(5)


def check(files: Mapping[str, bytes], target: Target) -> None:
    """CannotBuild where an extension module or library is of another interpreter or machine than the target's."""
    if wrong := strangers(files, target):
        raise CannotBuild(f"not for Python {target.python} on {target.machine}: {', '.join(wrong)}")


def strangers(files: Mapping[str, bytes], target: Target) -> list[str]:
    """The shared objects that the target cannot load."""
    return [name for name in sorted(files) if _SHARED_OBJECT.search(name) and not _fits(name, files[name], target)]


def _fits(name: str, body: bytes, target: Target) -> bool:
    tagged = _OF_AN_INTERPRETER.search(name)
    if tagged is not None and tagged[0] != f".{target.tag}":
        return False
    machine = ELF_MACHINES.get(target.machine)
    if body[:4] != ELF or machine is None:
        return not target.platforms  # of another system than Linux: at hand, pip has chosen it
    return int.from_bytes(body[_MACHINE], "little") == machine
