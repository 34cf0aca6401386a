"""The job of EMR Serverless, Glue and `spark-submit`: the command line, on the application that they have begun.

    spark-submit --py-files backstream.zip backstream_job.py restore flights --at 2026-11-23T04:15:00Z --to flights-2 --yes

`--engine spark` is added where it is missing. Glue passes names and values of its own: the words of the command are in its argument
`--backstream`, as one text.
"""

from __future__ import annotations

import shlex
import sys

from backstream.apps.cli.main import call

GLUE = "--backstream"


def words_of(given: list[str]) -> list[str]:
    """Returns the words of the command, for the engine on Spark."""
    words = shlex.split(given[given.index(GLUE) + 1]) if GLUE in given else given
    return words if "--engine" in words else [*words, "--engine", "spark"]


if __name__ == "__main__":
    sys.exit(call(words_of(sys.argv[1:])))
