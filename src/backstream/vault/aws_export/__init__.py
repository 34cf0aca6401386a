"""DynamoDB's own export format, written and read: `AWSDynamoDB/ID/` with its manifests, checksums and data files.

    AWSDynamoDB/ID/_started                 empty: the export has begun
    AWSDynamoDB/ID/data/NAME.json.gz        full export: lines of {"Item":...}
    AWSDynamoDB/data/NAME.json.gz           incremental export: lines of a net change; the folder is shared by all of them
    AWSDynamoDB/ID/manifest-files.json      one line a data file: its name, how many lines, its MD5
    AWSDynamoDB/ID/manifest-summary.json    the table, the moment, the count of items; written last: it completes the export

Beside each manifest lies its MD5 in base64. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

from backstream.vault.aws_export.lines import NetChange
from backstream.vault.aws_export.manifests import DataFile, ManifestSummary
from backstream.vault.aws_export.reader import DataFiles, Export, LineFormat
from backstream.vault.aws_export.writer import ExportWriter

__all__ = ["DataFile", "DataFiles", "Export", "ExportWriter", "LineFormat", "ManifestSummary", "NetChange"]
