"""Lays the Terraform module out as a registry wants it: `make terraform-module`.

    PYTHONPATH=tests python -m kit.terraform_module build/terraform-aws-backstream

The module is the one that `backstream template terraform` prints for any table. A registry expects `main.tf`, `variables.tf`,
`outputs.tf`, `versions.tf`, a README and examples, in a repository named `terraform-PROVIDER-NAME`:
https://developer.hashicorp.com/terraform/language/modules/develop/structure
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from backstream.apps.deploy import Choices, TemplateFormat, template

LICENSE = Path(__file__).parents[2] / "LICENSE"
PLACES = {"terraform": "versions.tf", "variable": "variables.tf", "output": "outputs.tf"}
README = """\
# Backstream for DynamoDB

The module captures every change of a DynamoDB table into an S3 bucket, proves that nothing is missing, and tries a restore each
day. It makes functions, buckets, least-privilege roles and alarms. `make terraform-module` writes it: change the generator, not the
files.

Put the zip of `make lambda` into a bucket first. `examples/one-table` shows the rest. After `terraform apply` run the command that
the output `next` names. `terraform destroy` refuses to delete the buckets: they are the backup.
"""
EXAMPLE = """\
provider "aws" {
  region = "us-east-1"
}

resource "aws_dynamodb_table" "flights" {
  name             = "flights"
  billing_mode     = "PAY_PER_REQUEST"
  hash_key         = "id"
  stream_enabled   = true
  stream_view_type = "NEW_AND_OLD_IMAGES"

  attribute {
    name = "id"
    type = "S"
  }
}

module "backstream" {
  source = "../.."

  table_name  = aws_dynamodb_table.flights.name
  stream_arn  = aws_dynamodb_table.flights.stream_arn
  code_bucket = "my-code"
  code_key    = "backstream-lambda-0.1.0-arm64.zip"
}
"""


def files() -> dict[str, str]:
    """Returns the module's files by their names."""
    found = {"README.md": README, "LICENSE": LICENSE.read_text(), "examples/one-table/main.tf": EXAMPLE}
    for block in blocks(template(Choices(), TemplateFormat.HCL)):
        head = re.search(r"^(\w+) ", block, re.MULTILINE)
        name = PLACES.get(head[1] if head else "", "main.tf")
        found[name] = found.get(name, "") + block
    return found


def blocks(module: str) -> list[str]:
    """Returns the top-level blocks of a module, each with the comment above it and an empty line below."""
    return [f"{each.strip()}\n\n" for each in re.split(r"(?<=^\}\n)", module, flags=re.MULTILINE) if each.strip()]


def main(target: Path) -> None:
    """Writes the module into a folder."""
    for name, text in files().items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.rstrip("\n") + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
