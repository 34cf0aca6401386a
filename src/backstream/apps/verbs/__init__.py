"""The library's verbs: arguments become requests to operations."""
