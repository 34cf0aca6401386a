"""`python -m backstream`: the command `backstream` of this interpreter."""

import os
import sys

# `-m` puts the working directory first on the path, where anybody may have left a module of any name.
if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 - nothing is imported before
    del sys.path[0]

from backstream.apps.entry import main

if __name__ == "__main__":
    main()
