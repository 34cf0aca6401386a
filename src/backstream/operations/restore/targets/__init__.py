"""The targets of a restore."""
