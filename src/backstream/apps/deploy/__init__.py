"""Deployment: one description of buckets, functions, roles and alarms, written as CloudFormation or as Terraform.

`Choices` holds the options, `describe` turns them into resources (docs/deploy.md), and `template` writes them. It sends no request
to AWS.
"""

from backstream.apps.deploy.choices import AlarmsPer, Architecture, ChangeSource, Choices
from backstream.apps.deploy.description import describe
from backstream.apps.deploy.writing import TemplateFormat, template

__all__ = ["AlarmsPer", "Architecture", "ChangeSource", "Choices", "TemplateFormat", "describe", "template"]
