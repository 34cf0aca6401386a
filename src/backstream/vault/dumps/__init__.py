"""Dumps: files that hold a table's items."""
