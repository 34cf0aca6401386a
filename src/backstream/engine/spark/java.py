"""Checks of the driver's machine before Spark is started: pyspark, Java, and a master that answers."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType

from backstream.errors import Failed, UsageError

LEAST_JAVA = {3: 8}  # by pyspark's major version
USUAL_JAVA = 17
ANSWER = 10.0  # seconds
_INSTALL = (
    "Install it: pip install 'backstream[spark]'. It must be of the cluster's own version: pip install 'pyspark==3.5.*', for one."
)
_PORT = 7077


def pyspark() -> ModuleType:
    """Returns pyspark. Raises UsageError if it is missing, or without its classic part."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas and others, which this does not use: they would stand before the report
            found = import_module("pyspark")
    except ImportError as error:
        raise UsageError("--engine spark needs pyspark, which is not installed", hint=_INSTALL) from error
    if not hasattr(found, "SparkContext"):
        raise UsageError("--engine spark needs the whole of pyspark: Spark Connect's client has no RDDs", hint=_INSTALL)
    return found


def check_java(major: int) -> None:
    """Raises Failed if there is no Java that this version of Spark (its first number) runs on."""
    least = LEAST_JAVA.get(major, USUAL_JAVA)
    hint = f"Install Java {USUAL_JAVA} (openjdk-17-jre-headless, for one), and set JAVA_HOME if it is not on the PATH."
    home = os.environ.get("JAVA_HOME", "")
    java = str(Path(home) / "bin/java") if home else shutil.which("java")
    if java is None or not Path(java).exists():
        raise Failed(f"Spark needs Java, and there is none at {java}" if home else "Spark needs Java, and there is none", hint=hint)
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603 - the user's own Java
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < least:
        raise Failed(f"Spark {major} needs Java {least} or newer; {java} is {said.splitlines()[:1] or 'broken'}", hint=hint)


def check_master(master: str) -> None:
    """Raises UsageError for a master that has no RDDs or is no URL, and Failed if a standalone master does not answer."""
    if master.startswith("sc://"):
        raise UsageError(
            f"{master} is Spark Connect, which has no RDDs", hint="Give the cluster's own master, such as spark://host:7077."
        )
    if not re.fullmatch(r"spark://.+|local(\[.+\])?|yarn|k8s://.+", master):
        raise UsageError(f"no Spark master: {master!r}", hint="Write spark://host:7077, yarn, k8s://https://host:443 or local[4].")
    if master.startswith("spark://"):
        places = [_place(each) for each in master.removeprefix("spark://").split(",")]
        if not any(_answers(*each) for each in places):
            raise Failed(
                f"no Spark master answers at {master}",
                hint="Is it running, and may this machine reach it? Nothing was begun.",
            )


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host:
        return text, _PORT
    if not port.isdecimal():
        raise UsageError(f"no Spark master: 'spark://{text}'", hint="Write spark://host:7077.")
    return host.strip("[]"), int(port)


def _answers(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=ANSWER):
        return True
    return False
