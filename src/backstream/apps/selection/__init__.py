"""Selections of tables: as they are written, and resolved."""
