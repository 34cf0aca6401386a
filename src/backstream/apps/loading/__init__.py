"""Modules that are loaded when they are first needed, and those that an extra brings."""
