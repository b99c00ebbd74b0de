# SPDX-License-Identifier: Apache-2.0
"""Keras' .weights.h5 files, which the package h5py writes."""

import importlib
import json
import os
import stat
import threading
from typing import Any, Dict

from ._errors import InputOutputError, UnsupportedError


def check_can_write(output: str) -> None:
    """Raises UnsupportedError without h5py."""
    try:
        importlib.import_module("h5py")
    except ImportError:
        raise UnsupportedError(f"[convert] {output}: expected the package h5py, which writes Keras' files, found none: "
                               "pip install h5py") from None


def write(tensors: str, output: str) -> None:
    """The datasets of a .safetensors file, whose names are their paths, as an HDF5 file that appears whole or not at all."""
    import numpy

    h5py = importlib.import_module("h5py")

    with open(tensors, "rb") as file:
        header: Dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    target = os.path.realpath(output)  # a link stays one
    part = f"{target}.{os.getpid()}.{threading.get_ident()}.part"
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except OSError as error:
        raise InputOutputError(f"[convert] {output}: can't be written: {error.strerror}") from error
    try:
        if os.path.exists(target):
            os.chmod(part, stat.S_IMODE(os.stat(target).st_mode))
        with h5py.File(part, "w") as out:
            for name, tensor in sorted(header.items()):
                if name == "__metadata__":
                    continue
                begin, end = tensor["data_offsets"]
                values = numpy.frombuffer(data[begin:end], dtype="<f4").reshape(tensor["shape"])
                out.create_dataset(name, data=values, track_times=False)
        os.replace(part, target)
    except OSError as error:
        os.unlink(part)
        raise InputOutputError(f"[convert] {output}: can't be written: {error}") from error
    except BaseException:
        os.unlink(part)
        raise
