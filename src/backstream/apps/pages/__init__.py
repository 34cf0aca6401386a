"""Pages for people: each one file, with nothing loaded from anywhere else."""
