"""Commands to restore."""
