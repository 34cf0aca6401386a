"""`backstream web`: history in a browser. Read-only, on this machine and behind a token, unless told otherwise."""
