"""Visitors: who they are, what they may do, and the data that they never see."""
