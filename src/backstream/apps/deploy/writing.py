"""The templates as text, in each language."""

from __future__ import annotations

from enum import StrEnum

from backstream.apps.deploy import cloudformation
from backstream.apps.deploy.choices import Choices
from backstream.apps.deploy.description import describe
from backstream.apps.deploy.terraform import module


class TemplateFormat(StrEnum):
    """The format of a template."""

    YAML = "yaml"
    JSON = "json"
    HCL = "hcl"


def template(choices: Choices, format: TemplateFormat = TemplateFormat.YAML) -> str:  # noqa: A002 - the word for it
    """Returns a template for these choices: CloudFormation (YAML or JSON) or Terraform (HCL).

    Raises UsageError for impossible choices.
    """
    written = {
        TemplateFormat.YAML: cloudformation.as_yaml,
        TemplateFormat.JSON: cloudformation.as_json,
        TemplateFormat.HCL: module.as_hcl,
    }
    return written[format](describe(choices))
