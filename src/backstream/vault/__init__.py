"""Turns changes into objects in the vault, and objects back into changes."""
