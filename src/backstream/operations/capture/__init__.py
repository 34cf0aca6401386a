"""Bring changes into the vault and prove that they are there."""
