"""One module per screen: each reads its data through the library and fills its page."""
