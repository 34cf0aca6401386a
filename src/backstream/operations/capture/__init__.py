"""Brings changes into the vault and proves that they are there."""
