"""The library's verbs for several tables at once: tails, witnesses, and restores and reverts of a group."""
