"""The settings of a sound deployment: the checks measure by them, and apps/deploy makes templates from them."""

from __future__ import annotations

HANDLER = "backstream.apps.aws_lambda.handler"
WITNESS_HANDLER = "backstream.apps.aws_witness.handler"
VAULT_VARIABLE = "BACKSTREAM_VAULT"
OWNER_VARIABLE = "BACKSTREAM_BUCKET_OWNER"
SIGN_VARIABLE = "BACKSTREAM_SIGN"
PARALLELIZATION_VARIABLE = "BACKSTREAM_PARALLELIZATION"
LEAST_PYTHON = (3, 11)
LEAST_TIMEOUT = 30  # seconds: the handler keeps 4.5 of them back to report what was not done
LEAST_MEMORY = 256  # MB

# https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html
START = "TRIM_HORIZON"
PARTIAL = "ReportBatchItemFailures"
FOREVER = -1  # of attempts and of a record's age: a record that cannot be kept stops its shard until it expires
# docs/notes/0012-one-description-two-templates.md explains these two.
RETRIES = 10_000
RECORD_AGE = 75_600  # seconds: 21 of the 24 hours that a stream keeps
STREAM_KEEPS = 86_400  # seconds: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
LEAST_BATCH = 10

# The alarms of CloudWatch, by metric: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
ALARMS = {
    "IteratorAge": "how far the function is behind",
    "Errors": "invocations that fail",
    "Throttles": "invocations that are refused",
    "DroppedEventCount": "changes that were given up",
    "OnFailureDestinationDeliveredEventCount": "changes that wait to be redriven",
    "DestinationDeliveryFailures": "changes that are lost for good",
}

OF_MAPPINGS = ("DroppedEventCount", "OnFailureDestinationDeliveredEventCount")  # counted for each mapping alone

LAG_NOTABLE = 1_800  # seconds
DRILL_DAYS = 8  # a weekly drill, and a day
SMALL_OBJECTS = 5_000  # of the log: a history or restore reads them one by one
KEEPS_LEAST = 7  # days that old images have to stay: less, and a mistake is gone before it is noticed
KEEPS_USUALLY = 35  # days, as DynamoDB's own point-in-time recovery has at most
CLOCK_NOTABLE = 2  # seconds
CLOCK_WRONG = 60  # seconds; at 15 minutes AWS refuses every request
