"""The names that the template and the exporting function share. It imports nothing: a template needs no Arrow."""

from __future__ import annotations

HANDLER = "backstream.apps.aws_export.handler"
TO_VARIABLE = "BACKSTREAM_EXPORT_TO"  # the URL below which new tables lie
CATALOG_VARIABLE = "BACKSTREAM_EXPORT_CATALOG"  # as `--catalog`
GLUE = "glue"
NAMESPACE = "backstream"  # of the Iceberg tables
