"""One module for each screen: each reads what it shows through the library and fills its page."""
