"""`python -m backstream`: the command `backstream` of this very interpreter."""

from backstream.apps.entry import main

if __name__ == "__main__":
    main()
