"""Options that say where a second table is, for the commands that have one."""

from __future__ import annotations

from typing import Annotated

from backstream.apps.cli.declaring import Option

ToProfile = Annotated[
    str | None, Option("--to-profile", metavar="NAME", help="The AWS profile of the second table.", show_default=False)
]
ToRegion = Annotated[str | None, Option("--to-region", metavar="REGION", help="The second table's region.", show_default=False)]
ToEndpoint = Annotated[
    str | None, Option("--to-endpoint", metavar="URL", help="DynamoDB's endpoint of the second table.", show_default=False)
]
