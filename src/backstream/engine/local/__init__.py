"""The engine of one machine: worker processes over partitions on disk."""
