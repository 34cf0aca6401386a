"""Where a restore writes to."""
