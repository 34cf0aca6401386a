"""Figures for monitors: Prometheus text files and CloudWatch lines."""
