#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Classifies a folder of photos with Dask, on two workers of this machine.

    pip install gcvit-cpp 'dask[dataframe]' distributed
    python examples/dask_classify.py photos -o answers.csv --check

On a cluster, Client("tcp://scheduler:8786") takes the place of LocalCluster; docs/scaling.md says what else changes.
"""

import time
from typing import Any

import dask.dataframe
import pandas
from dask.distributed import Client, LocalCluster

import cluster
import gcvit_cpp as gcvit


def classify(table: pandas.DataFrame, worker: cluster.Worker) -> pandas.DataFrame:
    return pandas.DataFrame(worker(table["path"]))


def main() -> None:
    arguments = cluster.parse_arguments(__doc__)
    photos = cluster.list_photos(arguments)
    started = time.time()
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as machines, Client(machines) as client:
        client.upload_file(cluster.__file__)
        # Held by every worker, where it is unpickled once; as a plain argument it would be part of each task.
        worker: Any = client.scatter(cluster.Worker(gcvit.Classifier(arguments.model, threads=1)), broadcast=True)

        table = dask.dataframe.from_pandas(pandas.DataFrame({"path": photos}), npartitions=8)
        kinds = {"string": "object", "double": "float64", "long": "int64"}
        empty = pandas.DataFrame({name: pandas.Series(dtype=kinds[kind]) for name, kind in cluster.COLUMNS.items()})
        answers = table.map_partitions(classify, worker, meta=empty).compute()

    cluster.report(answers.to_dict("records"), arguments, started, time.time())


if __name__ == "__main__":
    main()
