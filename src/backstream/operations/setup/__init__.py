"""Set up a vault for a table, and tell whose table it is."""
