"""`web`: history in a browser."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from backstream.apps.cli.declaring import Option
from backstream.apps.cli.options import Vault
from backstream.apps.cli.output import notice
from backstream.apps.config import Config
from backstream.apps.loading.screens_installed import check_installed
from backstream.errors import UsageError

if TYPE_CHECKING:
    from backstream.apps.web.access.settings import WebSettings


def web(
    *,
    vault: Vault = None,
    port: Annotated[int, Option(metavar="N", min=0, help="Listen there; 0 for any port that is free.")] = 0,
    allow_restore: Annotated[
        bool, Option("--allow-restore", help="Allow plans to be run; each asks for the table's name.")
    ] = False,
    private: Annotated[bool, Option("--private", help="Put no key into addresses: a hash stands for it.")] = False,
    hide: Annotated[
        list[str] | None,
        Option("--hide", metavar="ATTR", help="Show nothing of this top-level attribute; repeatable.", show_default=False),
    ] = None,
    mask: Annotated[
        list[str] | None,
        Option("--mask", metavar="ATTR", help="Show no value of this top-level attribute; repeatable.", show_default=False),
    ] = None,
    host: Annotated[
        str, Option(metavar="ADDRESS", help="Listen at this address; others than this machine's need --auth.")
    ] = "127.0.0.1",
    auth: Annotated[
        str | None,
        Option(
            "--auth",
            metavar="HOW",
            help="The way to know a visitor: header:NAME, which a proxy sets, or basic:FILE, lines of name:password.",
            show_default=False,
        ),
    ] = None,
    from_proxy: Annotated[
        list[str] | None,
        Option("--from-proxy", metavar="ADDRESS", help="Believe the header from there alone; repeatable.", show_default=False),
    ] = None,
    name: Annotated[
        list[str] | None,
        Option("--name", metavar="HOST[:PORT]", help="A name by which browsers reach it; repeatable.", show_default=False),
    ] = None,
    tls_cert: Annotated[
        Path | None, Option("--tls-cert", metavar="FILE", help="The certificate, for TLS.", show_default=False)
    ] = None,
    tls_key: Annotated[Path | None, Option("--tls-key", metavar="FILE", help="Its key.", show_default=False)] = None,
) -> None:
    """Show history in a browser: changes, items, states, plans and drills. Unless told otherwise it is read-only, for this machine.

    Prints the whole address, with its token, on stdout, and serves until it is stopped.
    """
    check_installed()
    if (tls_cert is None) is not (tls_key is None):
        raise UsageError("--tls-cert and --tls-key belong together")
    config = Config(vault)
    config.store.check()
    server = import_module("backstream.apps.web.server")
    settings: WebSettings = import_module("backstream.apps.web.access.settings").WebSettings(
        allow_restore=allow_restore,
        private=private,
        hidden=frozenset(hide or ()),
        masked=frozenset(mask or ()),
        auth=auth or "",
        proxies=tuple(from_proxy or ()),
    )
    where = server.Listening(host=host, port=port, names=tuple(name or ()), cert=tls_cert, key=tls_key)
    server.serve(config, settings, where, _tell)


def _tell(url: str) -> None:
    sys.stdout.write(url + "\n")
    sys.stdout.flush()
    notice("open this address; stop with Ctrl-C")
