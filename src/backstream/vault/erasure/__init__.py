"""The traces of erasures: their records, the ids of base backups written anew, and the items whose changes are discarded."""
