"""A table that ImportTable made, and a catalog that lied about whose it is."""

from __future__ import annotations

from pathlib import Path

import msgspec

from backstream.model.tables.grants import KEY
from backstream.operations.restore import NewTable, RestoreContext, RestoreRequest
from backstream.operations.restore.request import RestoreJob
from backstream.tables.memory import MemoryTable
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog
from kit import images
from kit.clock import ManualClock
from kit.stage import Stage


def test_an_import_with_a_key_of_another_account_is_told_and_fails() -> None:
    """Who forges the key's ARN can forge that of the table in the catalog, too. Only the new table tells whose account it is."""
    stage = Stage(ManualClock())
    theirs = "999999999999"
    key = f"arn:aws:kms:us-east-1:{theirs}:key/k"

    def forge(catalog: Catalog) -> Catalog:
        settings = catalogs.settings_of(catalog)
        described = {**settings.table, "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key}}
        made = catalogs.with_settings(catalog, msgspec.structs.replace(settings, table=described))
        return msgspec.structs.replace(made, table_arn=f"arn:aws:dynamodb:us-east-1:{theirs}:table/flights")

    catalogs.change(stage.store, "flights", forge)
    stage.clock.sleep(10)
    new = MemoryTable("new", stage.clock, images.SCHEMA)
    new.delete()
    target = NewTable("new")
    around = RestoreContext(lambda _: new, stage.clock, Path())
    setup = target.setup(RestoreJob(stage.vault(), RestoreRequest(int(stage.clock.now()), target), around))
    setup.prepare()
    assert setup.creation is not None
    new.create(setup.creation)  # as ImportTable does
    setup.finish_import()
    (todo,) = [each for each in setup.todo if each.what == KEY]
    assert todo.failed
    assert f"the import has used {key}, which is not of the account" in todo.why
    assert '"SSESpecification":{"Enabled":false}' in todo.command
    assert [(each.who, each.foreign, each.accepted) for each in setup.grants if each.what == KEY] == [(key, True, True)]
