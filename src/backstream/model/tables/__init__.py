"""Tables: settings, owners, and the names of their objects in a vault."""
