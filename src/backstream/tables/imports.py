"""DynamoDB's own import: ImportTable and DescribeImport."""

from __future__ import annotations

import msgspec

from backstream.errors import Failed, TargetNotEmpty
from backstream.model.tables.creation import Creation, importable
from backstream.ports import ImportState
from backstream.tables.raw import RawApi, ask


class _Description(msgspec.Struct, frozen=True):
    ImportArn: str
    ImportStatus: str
    ProcessedItemCount: int = 0
    ImportedItemCount: int = 0
    ErrorCount: int = 0
    FailureCode: str = ""
    FailureMessage: str = ""
    CloudWatchLogGroupArn: str = ""


class _DescribedImport(msgspec.Struct, frozen=True):
    ImportTableDescription: _Description


class _Source(msgspec.Struct, frozen=True):
    S3Bucket: str = ""
    S3KeyPrefix: str = ""


class _ImportSummary(msgspec.Struct, frozen=True):
    ImportArn: str
    S3BucketSource: _Source = _Source()


class _ListedImports(msgspec.Struct, frozen=True):
    ImportSummaryList: list[_ImportSummary] = []
    NextToken: str = ""


class DynamoImporter:
    """See `ports.Importer`."""

    def __init__(self, api: RawApi) -> None:
        self._api = api

    def begin(self, table: str, creation: Creation, bucket: str, prefix: str, token: str) -> str:
        """Calls ImportTable for gzipped DynamoDB JSON. Raises TargetNotEmpty if the table's name is taken."""
        request = {
            "ClientToken": token,
            "InputFormat": "DYNAMODB_JSON",
            "InputCompressionType": "GZIP",
            "S3BucketSource": {"S3Bucket": bucket, "S3KeyPrefix": prefix},
            "TableCreationParameters": {"TableName": table, **importable(creation)},
        }
        try:
            return ask(self._api, "ImportTable", request, _DescribedImport, f"table {table}")[0].ImportTableDescription.ImportArn
        except TargetNotEmpty:
            # The answer to a first attempt may have been lost: then our own import has taken the name, whatever the token says.
            arn = self._begun(bucket, prefix)
            if arn is None:
                raise
            return arn

    def _begun(self, bucket: str, prefix: str) -> str | None:
        """Returns the import of these objects, if one can be seen."""
        request: dict[str, object] = {"PageSize": 25}
        while True:
            try:
                page = ask(self._api, "ListImports", request, _ListedImports, "the imports")[0]
            except Failed:
                return None  # what is raised then is that the name is taken
            for each in page.ImportSummaryList:
                if (each.S3BucketSource.S3Bucket, each.S3BucketSource.S3KeyPrefix) == (bucket, prefix):
                    return each.ImportArn
            if not page.NextToken:
                return None
            request["NextToken"] = page.NextToken

    def state(self, arn: str) -> ImportState:
        """Calls DescribeImport."""
        said = ask(self._api, "DescribeImport", {"ImportArn": arn}, _DescribedImport, f"import {arn}")[0].ImportTableDescription
        return ImportState(
            status=said.ImportStatus,
            processed=said.ProcessedItemCount,
            imported=said.ImportedItemCount,
            errors=said.ErrorCount,
            why=": ".join(filter(None, (said.FailureCode, said.FailureMessage))),
            log=said.CloudWatchLogGroupArn,
        )
