#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Classifies a folder of photos with Apache Spark, on two executors of this machine.

    pip install gcvit-cpp pyspark pandas pyarrow      # and a Java runtime
    python examples/spark_classify.py photos -o answers.csv --check

On a cluster, `spark-submit --py-files examples/cluster.py` names the master; docs/scaling.md says what else changes.
"""

import pathlib
import time
from typing import Any, Iterator

import pandas
from pyspark.sql import SparkSession
from pyspark.sql.functions import pandas_udf  # type: ignore  # exported at run time alone

import cluster
import gcvit_cpp as gcvit


def main() -> None:
    arguments = cluster.parse_arguments(__doc__)
    photos = cluster.list_photos(arguments)
    started = time.time()
    spark = (SparkSession.builder.master("local-cluster[2,1,1024]").appName("gcvit").config("spark.ui.enabled", "false")
             .config("spark.ui.showConsoleProgress", "false").config("spark.executor.memory", "1g")
             .config("spark.sql.execution.arrow.maxRecordsPerBatch", "16").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    spark.sparkContext.addPyFile(str(pathlib.Path(cluster.__file__).resolve()))

    # A function is unpickled for every task, a broadcast value once in each Python process.
    worker = spark.sparkContext.broadcast(cluster.Worker(gcvit.Classifier(arguments.model, threads=1)))

    def classify(batches: Iterator[pandas.Series]) -> Iterator[pandas.DataFrame]:
        for paths in batches:
            yield pandas.DataFrame(worker.value(paths))

    schema = ", ".join(f"{name} {kind}" for name, kind in cluster.COLUMNS.items())
    answer: Any = pandas_udf(classify, schema)  # pyright: ignore  # its stubs lack the kind that annotations choose
    table = spark.createDataFrame(pandas.DataFrame({"path": photos})).repartition(8)
    rows = table.select(answer("path").alias("answer")).select("answer.*").collect()

    cluster.report([row.asDict() for row in rows], arguments, started, time.time())
    spark.stop()


if __name__ == "__main__":
    main()
