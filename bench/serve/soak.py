#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Half the load that the server can take for half an hour: photos raw, in forms and as Base64 in JSON, and binary tensors.

    cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release
    python bench/serve/soak.py --minutes 30 --json soak.json

Every answer is compared with the first one to the same request, and that with what `gcvit classify` and `gcvit forward` say. Resident
memory is taken at the end of every minute, in which nothing else is sent.
"""

import ast
import json
import pathlib
import subprocess
import sys
import tempfile

from harness import (Gcvit, Requests, add_models, arguments_of, capacity, check_with_program, complaints, finish, floats, form_request,
                     json_request, load, model_file, note, photo_request, resident_memory, table, tensor_request)


def read_npy(path):
    """The shape and the bytes of a float32 array."""
    content = pathlib.Path(path).read_bytes()
    length = int.from_bytes(content[8:10], "little")
    header = ast.literal_eval(content[10:10 + length].decode())
    return header["shape"], content[10 + length:]


def tensor_and_logits(arguments, model, photo, folder):
    """What the program itself says of a photo."""
    tensor, logits = f"{folder}/tensor.npy", f"{folder}/logits.npz"
    subprocess.run([arguments.gcvit, "preprocess", "-m", model, photo, "-o", tensor], check=True, capture_output=True)
    subprocess.run([arguments.gcvit, "forward", "-m", model, tensor, "-o", logits], check=True, capture_output=True)
    import zipfile
    with zipfile.ZipFile(logits) as archive:
        archive.extract("logits.npy", folder)
    shape, values = read_npy(tensor)
    return shape, values, read_npy(f"{folder}/logits.npy")[1]


def make_requests(arguments, model):
    """Of each photo one of every kind; and the logits of each photo."""
    requests, logits = [], []
    with tempfile.TemporaryDirectory() as folder:
        for photo in arguments.photo_files:
            content = photo.read_bytes()
            shape, values, expected = tensor_and_logits(arguments, model, photo, folder)
            requests += [photo_request(content), form_request(content), json_request("model", content),
                         tensor_request("model", values, [1, *shape[-3:]])]
            logits.append(expected)
    return Requests(requests), logits


def check_first_answers(arguments, model, answers, logits):
    check_with_program(arguments, model, answers[0::4])
    check_with_program(arguments, model, answers[1::4])
    for photo, expected, as_json, binary in zip(arguments.photo_files, logits, answers[2::4], answers[3::4], strict=True):
        values = json.loads(as_json)["outputs"][0]["data"]
        if not binary.endswith(expected):
            sys.exit(f"{photo}: the tensor's logits aren't those of gcvit forward")
        if any(abs(a - b) > 1e-6 * max(map(abs, values)) for a, b in zip(values, floats(expected), strict=True)):
            sys.exit(f"{photo}: the logits aren't those of gcvit forward")


def add_arguments(parser):
    add_models(["flowers"])(parser)
    parser.add_argument("--minutes", type=float, default=30, help="default: 30")
    parser.add_argument("--load", type=float, default=0.5, help="share of the capacity (default: 0.5)")


def main():
    arguments = arguments_of(__doc__, add_arguments)
    slices, seconds = (2, 1) if arguments.quick else (round(arguments.minutes), 58)
    results, failures, shown = {}, [], []
    for name in arguments.models:
        model = model_file(name)
        requests, logits = make_requests(arguments, model)
        rows = results[name] = []
        with Gcvit(arguments.gcvit, model) as server:
            check_first_answers(arguments, model, requests.ask_once(server.port), logits)
            rate = arguments.load * capacity(arguments.generator, server, requests, 1 if arguments.quick else 6)["goodput"]
            for minute in range(1, slices + 1):
                measured = load(arguments.generator, "open", server, requests, rate=rate, seconds=seconds, seed=minute)
                rows.append({"minute": minute, "memory": resident_memory(server.pid), "measured": measured})
                failures += [f"minute {minute}: {one}" for one in complaints(measured)]
                note(f"{name}, minute {minute}: {measured['requests']} requests, p99 {measured['latency_ms']['p99']:.1f} ms, "
                     f"{rows[-1]['memory'] / 1e6:.2f} MB, {len(failures)} failures")
            if server.stop() != 0:
                failures.append("the server's exit code isn't 0")
        early, late = rows[min(1, len(rows) - 1)]["memory"], rows[-1]["memory"]
        asked = sum(row["measured"]["requests"] for row in rows)
        shown.append((name, slices, asked, len(failures), f"{early / 1e6:.2f}", f"{late / 1e6:.2f}", f"{100 * (late / early - 1):+.2f} %",
                      f"{max(row['measured']['latency_ms']['p99'] for row in rows):.1f}"))
    table(("model", "minutes", "requests", "failures", "memory at minute 2, MB", "at the end", "grown", "worst minute's p99, ms"), shown)
    return finish(arguments, results, failures)


if __name__ == "__main__":
    sys.exit(main())
