"""The engine of many machines: the same readers and the same fold, run by Apache Spark. See docs/spark.md."""
