"""Reads whole tables into base backups, and keeps the log in large objects."""
