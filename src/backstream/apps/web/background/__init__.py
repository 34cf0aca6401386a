"""Work that takes long: run beside requests, and ended when nobody waits for it."""
