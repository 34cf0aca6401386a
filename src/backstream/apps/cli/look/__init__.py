"""Commands to look into a vault."""
