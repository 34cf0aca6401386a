"""Commands to set up."""
