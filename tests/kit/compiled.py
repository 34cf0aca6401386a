"""What is imported is kept compiled, here and in the processes that tests start, even where `PYTHONDONTWRITEBYTECODE` is set.

Images of containers set it to stay small. A test run would pay for it in each of its processes: a second for each command that a
test starts, 15 s of processor time for each pytest worker. Import this module before all others.
"""

from __future__ import annotations

import os
import sys

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
