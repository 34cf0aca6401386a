"""Commands to move and copy tables."""
