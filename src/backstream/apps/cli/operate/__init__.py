"""Commands to operate a vault."""
