"""The ways in: the command line, the Lambda handler, the demo; and config, which wires concrete parts."""
