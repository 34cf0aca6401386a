"""Several tables as one: checked before any is touched, written side by side, with one file to resume and to undo from."""
