"""Where a second table is: the options of the commands that have one."""

from __future__ import annotations

from typing import Annotated

import typer

ToProfile = Annotated[
    str | None, typer.Option("--to-profile", metavar="NAME", help="The AWS profile of the second table.", show_default=False)
]
ToRegion = Annotated[
    str | None, typer.Option("--to-region", metavar="REGION", help="The second table's region.", show_default=False)
]
ToEndpoint = Annotated[
    str | None, typer.Option("--to-endpoint", metavar="URL", help="DynamoDB's endpoint of the second table.", show_default=False)
]
