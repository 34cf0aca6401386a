"""Commands to prove that a restore works."""
