"""Changes of items: their normal form, their order, and the fold that makes a state of them."""
