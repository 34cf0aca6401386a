"""Ten questions on many changes have one answer: `sql`, pyiceberg's scan and Spark over the same export."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.spark_cluster import SparkCluster, needs_spark
from operations.test_sql_engines import ten_questions

pytestmark = [pytest.mark.spark, needs_spark, pytest.mark.timeout(3_600)]


@pytest.mark.parametrize(
    ("items", "changes"), [(100, 2_000), pytest.param(100_000, 1_000_000, marks=pytest.mark.soak)], ids=["few", "a million"]
)
def test_ten_questions_have_one_answer_on_spark_too(items: int, changes: int, cluster: SparkCluster, tmp_path: Path) -> None:
    assert ten_questions(items, changes, tmp_path, spark=cluster.master) == ["sql", "iceberg", "spark"]
