"""Spark's errors as errors of this tool. Each says what happened, to what, and the next step."""

from __future__ import annotations

import re
import sys

from backstream.errors import BackstreamError, Failed

MOST = 400  # characters of Spark's own words
_HERE = ".".join(map(str, sys.version_info[:2]))
_ARCHIVE = "Give executors a Python environment with backstream in it: docs/spark.md, `A Python environment for executors`."


def explained(error: Exception, spark: str) -> BackstreamError:
    """Returns the error of a job that Spark has given up. `spark`: the driver's version of Spark."""
    said = str(error)
    if "PYTHON_VERSION_MISMATCH" in said or re.search(r"[Pp]ython in worker has different version", said):
        there = re.search(r"(?:version:?|than that in driver)[^0-9]*(\d\.\d+)", said)
        which = there[1] if there and there[1] != _HERE else "another version"
        return Failed(
            f"the executors' Python is {which}, and the driver's is {_HERE}: Spark takes no others",
            hint=f"Set PYSPARK_PYTHON to a Python {_HERE} on the executors, or run this with theirs.",
        )
    if missing := re.search(r"No module named '([\w.]+)'", said):
        return Failed(f"the executors' Python lacks {missing[1]}", hint=_ARCHIVE)
    if program := re.search(r'Cannot run program "([^"]+)"', said):
        return Failed(f"the executors have no Python at {program[1]}", hint=f"Set PYSPARK_PYTHON to their path of it. {_ARCHIVE}")
    if re.search(r"InvalidClassException|serialVersionUID|StreamCorruptedException", said):
        return other_spark(spark)
    if re.search(r"SparkContext was shut down|stopped SparkContext|Master removed our application", said):
        return ended(spark)
    if "OutOfMemoryError" in said:
        return Failed("Spark ran out of memory", hint="Give executors more (spark.executor.memory), or the driver: docs/spark.md.")
    return Failed(f"Spark has given up: {_gist(said)}", hint="The executors' logs say more. Nothing that was read is kept.")


def not_begun(error: Exception, spark: str) -> BackstreamError:
    """Returns the error of an application that a cluster has not taken."""
    said = str(error)
    if re.search(r"Insufficient (driver|executor) memory", said, re.IGNORECASE):
        return Failed(f"Spark has too little memory to start: {_gist(said)}", hint="Give the driver more: spark.driver.memory.")
    if "SparkEnv" in said:
        return ended(spark)
    if re.search(
        r"stopped while waiting for backend|All masters are unresponsive|has been removed|SparkContext was shut down", said
    ):
        return other_spark(spark)
    return explained(error, spark)


def ended(spark: str) -> Failed:
    """Returns the error of an application that the cluster has ended. It takes one of another version, and then cannot start it."""
    return Failed(
        f"the cluster has ended the application of Spark {spark}: its executors could not start",
        hint="Does the cluster run another version of Spark? Then install that one of pyspark. Else its workers' logs say why.",
    )


def other_spark(spark: str) -> Failed:
    """Returns the error of a cluster with another version of Spark."""
    return Failed(
        f"the cluster does not take an application of Spark {spark}: it most likely runs another version",
        hint="Install the cluster's own version: pip install 'pyspark==3.5.*', for one.",
    )


def _gist(said: str) -> str:
    """Returns the first line that tells anything."""
    lines = [each.strip(" :") for each in said.splitlines() if each.strip() and "An error occurred while calling" not in each]
    wanted = [each for each in lines if re.search(r"Job aborted|Job \d+ cancelled|SparkException|Error", each)]
    return (wanted or lines or ["it gave no reason"])[0][:MOST]
