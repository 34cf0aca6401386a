"""`make fuzz`: bytes of any kind for every reader of what lies in a bucket. See `targets`."""
