# SPDX-License-Identifier: Apache-2.0
"""What the bridges to other libraries share: a model's file, its description, and the bytes of a model file made from another one."""

import json
import os
import tempfile
import warnings
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Sequence

from . import _program
from ._arguments import model_file
from ._errors import InvalidArgumentError
from ._model import Model


@contextmanager
def file_of(model: Model) -> Iterator[str]:
    """The path of what the model was opened from; bytes are written to a temporary file."""
    if not isinstance(model, Model):
        raise TypeError(f"expected a gcvit_cpp.Model, found {type(model).__name__}")
    with model_file(model) as (file, _):
        yield file


def description_of(file: str) -> Dict[str, Any]:
    """What `gcvit info --json` says of a model file."""
    described: Dict[str, Any] = json.loads(_program.run(["info", "--json", "-m", file]))
    return described


def model_file_of(source: str, *options: str, pool_padding: Optional[str] = None, classes: Optional[Sequence[str]] = None) -> bytes:
    """A weight file of another project as the bytes of a model file (docs/weights.md). `options` are `gcvit convert`'s. Where they are
    given, the padding of max pools ("zero" or "neg_inf") and the names of the classes take the place of what the file says. What a person
    should know of how `source` was read is a UserWarning."""
    notices: List[str] = []

    def note(event: Dict[str, Any]) -> None:
        if event["event"] == "notice" and event["sentence"].startswith(f"{source}: "):
            notices.append(event["sentence"][len(source) + 2:])

    with tempfile.TemporaryDirectory(prefix="gcvit-") as folder:
        file = os.path.join(folder, "model.safetensors")
        _program.run(["convert", source, file, *options], on_event=note)
        with open(file, "rb") as converted:
            data = converted.read()
    for notice in notices:
        warnings.warn(notice, stacklevel=3)
    size = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:size])
    metadata = header["__metadata__"]
    config = json.loads(metadata["gcvit.config"])
    if classes is not None:
        if len(classes) != config["classes"]:
            raise InvalidArgumentError(f"[model] classes: expected {config['classes']} names, found {len(classes)}")
        metadata["gcvit.classes"] = json.dumps(list(classes))
    if pool_padding is not None:
        metadata["gcvit.config"] = json.dumps({**config, "pool_padding": pool_padding})
    changed = json.dumps(header).encode()
    changed += b" " * (-len(changed) % 8)
    return len(changed).to_bytes(8, "little") + changed + data[size:]
