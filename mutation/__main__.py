"""`python -m mutation [--minutes N] [--summary] [MODULE...]`: plant each fault, run the related tests. 1: some survived."""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections import Counter
from collections.abc import Sequence

from mutation.mutants import Mutant, mutants
from mutation.records import Record, Records, table
from mutation.related import RELATED
from mutation.trial import PASSED, SOURCE, preload, trial

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
        preload()
        for module in self._sources:
            known = {(each.operator, each.occurrence) for each in self._standing() if each.module == module}
            left = [each for each in self._mutants[module] if (each.operator, each.occurrence) not in known]
            if left and time.monotonic() < self._until:
                self._module(module, left)

    def _module(self, module: str, left: Sequence[Mutant]) -> None:
        tests = RELATED[module]
        sound = trial(module, self._sources[module], tests, processor=ENOUGH, wall=ENOUGH)
        if sound.code != PASSED:
            sys.stderr.write(f"{module}: its tests do not pass as it is (code {sound.code}): no mutant is tried\n")
            return
        sys.stderr.write(f"{module}: {len(left)} mutants, {sound.seconds:.1f} s of the processor where nothing is wrong\n")
        for mutant in left:
            if time.monotonic() > self._until:
                return
            ended = trial(module, mutant.code, tests, processor=3 * sound.seconds + 10, wall=HANGS)
            digest = _digest(self._sources[module])
            self._records.add(
                Record(module, digest, mutant.operator, mutant.occurrence, mutant.line, mutant.text, ended.outcome, ended.seconds)
            )
            if ended.outcome != "killed":
                sys.stderr.write(f"{ended.outcome}: {module}:{mutant.line} {mutant.operator}: {mutant.text}\n")

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
