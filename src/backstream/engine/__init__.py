"""Runs the fold over more changes than fit in memory."""
