"""How changes become objects in the vault, and objects become changes again."""
