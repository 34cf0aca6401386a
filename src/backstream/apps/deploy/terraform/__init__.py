"""A description as a Terraform module."""
