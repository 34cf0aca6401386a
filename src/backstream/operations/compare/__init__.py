"""Compares a table with its vault or with another table."""
