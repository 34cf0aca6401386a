"""The states that a restore writes: where they come from, and the evidence for each row and delete."""
