"""What a zip is built for: an interpreter's version and a machine. Wheels are chosen by it, and their files checked against it."""

from __future__ import annotations

import platform
import sys
import sysconfig
from dataclasses import dataclass

# The newest runtime of Lambda. Its Amazon Linux 2023 has glibc 2.34, so wheels for that and older ones run there.
# Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
RUNTIME = "3.14"
GLIBC = (34, 31, 28, 27, 26, 24, 17)
ELF_MACHINES = {"x86_64": 62, "aarch64": 183}  # e_machine in an ELF header, see elf(5)
_OWN_NAMES = {"x86_64": "x86_64", "aarch64": "arm64"}  # by which Lambda calls them


@dataclass(frozen=True)
class Target:
    """`python`: as in `3.14`; `machine`: as the kernel calls it; `platforms`: pip's tags, none for the interpreter at hand."""

    python: str
    machine: str
    platforms: tuple[str, ...] = ()

    @property
    def architecture(self) -> str:
        """As Lambda calls it: `x86_64` or `arm64`."""
        return _OWN_NAMES.get(self.machine, self.machine)

    @property
    def name(self) -> str:
        """Of the zip, without folder and ending."""
        return f"backstream-lambda-{self.architecture}" if self.platforms else f"backstream-lambda-here-py{self.python}"

    @property
    def tag(self) -> str:
        """How the file name of an extension module for it ends, such as `cpython-314-x86_64-linux-gnu.so`."""
        if self.platforms:
            return f"cpython-{self.python.replace('.', '')}-{self.machine}-linux-gnu.so"
        return str(sysconfig.get_config_var("EXT_SUFFIX")).lstrip(".")

    @property
    def pip_words(self) -> list[str]:
        """What makes pip choose wheels for it."""
        if not self.platforms:
            return []
        platforms = [word for each in self.platforms for word in ("--platform", each)]
        return [*platforms, "--implementation", "cp", "--python-version", self.python]


def linux(python: str, machine: str) -> Target:
    """Linux with the glibc of Lambda's runtimes."""
    tags = (*(f"manylinux_2_{minor}" for minor in GLIBC), "manylinux2014")
    return Target(python, machine, tuple(f"{tag}_{machine}" for tag in tags))


def here() -> Target:
    """The interpreter that runs this, on its machine."""
    return Target(f"{sys.version_info.major}.{sys.version_info.minor}", platform.machine())


LAMBDA = (linux(RUNTIME, "x86_64"), linux(RUNTIME, "aarch64"))
