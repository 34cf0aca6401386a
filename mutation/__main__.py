"""`python -m mutation [--minutes N] [--summary] [MODULE...]`: plant each fault, run the related tests. 1: some survived."""

from __future__ import annotations

import argparse
import functools
import hashlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

from mutation.mutants import Mutant, first_other, mutants, planted
from mutation.records import Record, Records, table
from mutation.related import RELATED
from mutation.trial import PASSED, SOURCE, Bench, Ended, Limits, with_tests

ENOUGH = 600.0  # seconds of the processor for tests that pass
HANGS = 300.0  # seconds after which a trial that waits for something is ended


class Run:
    """The mutants of some modules, as long as there is time."""

    def __init__(self, modules: Sequence[str], until: float, records: Records) -> None:
        self._until = until
        self._records = records
        self._sources = {module: (SOURCE / "backstream" / module).read_text() for module in modules}
        self._mutants = {module: list(mutants(source)) for module, source in self._sources.items()}

    def go(self) -> None:
        """Try each that has not been tried of the module as it is."""
        for module in self._sources:
            known = {(each.operator, each.occurrence) for each in self._standing() if each.module == module}
            left = [each for each in self._mutants[module] if (each.operator, each.occurrence) not in known]
            if left and time.monotonic() < self._until:
                _in_process(functools.partial(self._module, module, left))

    def _module(self, module: str, left: Sequence[Mutant]) -> None:
        with_tests(module, RELATED[module], lambda bench: self._tried(module, left, bench))

    def _tried(self, module: str, left: Sequence[Mutant], bench: Bench) -> None:
        sound = bench.trial(self._sources[module], Limits(ENOUGH, ENOUGH))
        if sound.code != PASSED:
            _say(f"{module}: its tests do not pass as it is (code {sound.code}): no mutant is tried")
            return
        _say(f"{module}: {len(left)} mutants, {sound.seconds:.1f} s of the processor where nothing is wrong")
        parent = os.getppid()
        for mutant in left:
            if time.monotonic() > self._until or os.getppid() != parent:  # nobody goes on where the run was ended
                return
            code = planted(self._sources[module], mutant)
            ended = bench.trial(code, Limits(3 * sound.seconds + 20, HANGS))
            record = _record(module, self._sources[module], mutant, code, ended)
            self._records.add(record)
            if ended.outcome != "killed":
                _say(f"{ended.outcome}: {module}:{mutant.line} {mutant.operator}: {record.text}")

    def _standing(self) -> list[Record]:
        """What is known of the modules as they are now."""
        digests = {module: _digest(source) for module, source in self._sources.items()}
        return [each for each in self._records.all() if digests.get(each.module) == each.source]

    def tell(self) -> bool:
        """Print the table. Whether one survived."""
        standing = self._standing()
        made = Counter({module: len(found) for module, found in self._mutants.items()})
        sys.stdout.write("\n".join(table(standing, made)) + "\n")
        return any(each.outcome == "survived" for each in standing)


def _in_process(work: Callable[[], None]) -> None:
    """Of one module after the other nothing stays imported."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _record(module: str, source: str, mutant: Mutant, code: str, ended: Ended) -> Record:
    return Record(
        module=module,
        source=_digest(source),
        operator=mutant.operator,
        occurrence=mutant.occurrence,
        line=mutant.line,
        text=first_other(source, code),
        outcome=ended.outcome,
        seconds=round(ended.seconds, 2),
    )


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def main() -> int:
    """All modules, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m mutation")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so many; the next run goes on (default 60)")
    parser.add_argument("--summary", action="store_true", help="only tell what is known")
    parser.add_argument("modules", nargs="*", choices=[*RELATED, []], metavar="MODULE", help="as model/window.py; default: all")
    asked = parser.parse_args()
    run = Run(asked.modules or list(RELATED), time.monotonic() + 60 * asked.minutes, Records())
    if not asked.summary:
        run.go()
    return int(run.tell())


if __name__ == "__main__":
    sys.exit(main())
