"""The command line: each command is one thin call of a public library function."""
