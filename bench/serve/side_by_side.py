#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`gcvit serve` beside what people run instead: FastAPI with ONNX Runtime or OpenVINO, LitServe with timm's PyTorch model.

    pip install torch==2.14.1 timm==1.0.31 onnx onnxscript onnxruntime==1.32.0 openvino==2026.4.1 nncf safetensors packaging \\
        fastapi 'uvicorn[standard]' litserve python-multipart pillow
    cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release
    python bench/serve/side_by_side.py --json side_by_side.json

The model is timm's gcvit_xxtiny at 224x224 with random weights, the same for all; the apps are in peers/, and say how they are tuned. Each
server alone gets the same requests, photos in multipart/form-data, from the same generator. It is asked at saturation first, then at rates
below that, for the highest at which the 99th percentile of the latency is within --p99. Memory is that of all its processes (a page that
several have counts as a part of each) after saturation; start-up ends with the first answer, the better of two. Takes 7 minutes.
"""

import json
import os
import pathlib
import subprocess
import sys

from harness import (ROOT, Gcvit, Process, Requests, arguments_of, ask, capacity, complaints, finish, form_request, free_port, load,
                     model_file, note, table)

PEERS = pathlib.Path(__file__).resolve().parent / "peers"
STEPS = 4
THREADS = os.cpu_count()


class Contender:
    """How a server is started, of which dtype it is, and what belongs to its installation."""

    def __init__(self, label, dtype, *, command=None, graph=None, packages=(), dtype_option=None):
        self.label, self.dtype, self.command, self.graph, self.packages, self.dtype_option = (
            label, dtype, command, graph, packages, dtype_option)

    def start(self, arguments):
        if self.dtype_option:
            return Gcvit(arguments.gcvit, model_file("xxtiny"), "--dtype", self.dtype_option)
        environment = {"MODEL": str(self.graph())}
        return Process([sys.executable, PEERS / self.command[0], *self.command[1:]], free_port(), environment)


def peer_file(name, peer=None):
    """A file that bench/peers.py makes, for batches of one."""
    def made():
        import peers
        return peers.CACHE / getattr(peers, name)("xxtiny", 1)
    return made


WEB = ("fastapi", "uvicorn", "uvloop", "httptools", "python-multipart", "pillow", "numpy")
CONTENDERS = {
    "gcvit": Contender("gcvit serve", "f32", dtype_option="f32"),
    "onnxruntime": Contender("FastAPI, ONNX Runtime", "f32", command=("fastapi_app.py", "onnxruntime", str(THREADS)),
                             graph=peer_file("onnx_name"), packages=(*WEB, "onnxruntime")),
    "openvino": Contender("FastAPI, OpenVINO", "f32", command=("fastapi_app.py", "openvino", str(THREADS)),
                          graph=peer_file("onnx_name"), packages=(*WEB, "openvino")),
    "litserve": Contender("LitServe, timm", "f32", command=("litserve_app.py", str(THREADS), str(THREADS)), graph=lambda: model_file("xxtiny"),
                          packages=("litserve", "timm", "torch", "pillow", "python-multipart")),
    "gcvit_int8": Contender("gcvit serve, int8", "int8", dtype_option="int8"),
    "openvino_int8": Contender("FastAPI, OpenVINO int8 (NNCF)", "int8", command=("fastapi_app.py", "openvino", str(THREADS)),
                               graph=peer_file("nncf_name"), packages=(*WEB, "openvino")),
    "openvino_bf16": Contender("FastAPI, OpenVINO bf16", "int8", command=("fastapi_app.py", "openvino_bf16", str(THREADS)),
                               graph=peer_file("onnx_name"), packages=(*WEB, "openvino")),
}


def prepare():
    """The files of the peers, in a process whose memory is gone when the measuring begins."""
    script = ("import peers; peers.CACHE.mkdir(exist_ok=True); "
              "peers.prepare([('xxtiny', 1, 1)], ['onnxruntime', 'openvino', 'openvino_int8'])")
    subprocess.run([sys.executable, "-c", script], cwd=ROOT / "bench", check=True, stdout=sys.stderr)


def check_answers(arguments, contender, server, reference):
    """Every f32 contender gives the same probabilities for every photo. `reference` holds the first one's."""
    for photo in arguments.photo_files:
        predictions = json.loads(ask(server.port, form_request(photo.read_bytes())))["predictions"]
        expected = reference.setdefault(photo, predictions)
        difference = max(abs(a["probability"] - b["probability"]) for a, b in zip(predictions, expected, strict=True))
        if contender.dtype == "f32" and difference > 1e-4 * expected[0]["probability"]:
            sys.exit(f"{contender.label}: {photo}: its probabilities are others: {predictions} and {expected}")


def start_seconds(arguments, contender, request):
    """Until the first answer, the better of two."""
    times = []
    for _ in range(1 if arguments.quick else 2):
        with contender.start(arguments) as server:
            times.append(server.wait_until_ready(request))
            server.stop()
    return min(times)


def fastest_within(arguments, server, requests, most, check, runs):
    """The highest rate, of STEPS that halve the range each time, at which all is answered and the 99th percentile is within the limit."""
    lowest, highest, best = 0.4, 1.0, 0.0
    for step in range(1 if arguments.quick else STEPS):
        share = (lowest + highest) / 2
        measured = load(arguments.generator, "open", server, requests, check, rate=share * most, seconds=1 if arguments.quick else 10,
                        seed=step + 1, patience=60)
        runs.append(measured)
        if not complaints(measured) and measured["latency_ms"]["p99"] <= arguments.p99:
            lowest, best = share, share * most
        else:
            highest = share
    return best


def installed_bytes(arguments, contender):
    """Of the packages and the model; for gcvit the program with the libraries that it loads, other than the C and C++ ones."""
    if contender.packages:
        from python import installed_size
        own = contender.graph()
        return installed_size(*contender.packages) + sum(path.stat().st_size for path in own.parent.glob(own.stem + ".*"))
    loaded = subprocess.run(["ldd", arguments.gcvit], capture_output=True, text=True, check=True).stdout
    system = ("libc.", "libm.", "libstdc++", "libgcc_s", "ld-linux")
    libraries = [line.split("=>")[1].split()[0] for line in loaded.splitlines() if "=> /" in line and not line.strip().startswith(system)]
    return sum(pathlib.Path(path).resolve().stat().st_size for path in (arguments.gcvit, model_file("xxtiny"), *libraries))


def measure(arguments, contender, reference, failures):
    requests = Requests([form_request(photo.read_bytes()) for photo in arguments.photo_files])
    first = requests.files[0].read_bytes()
    check = "exact" if contender.dtype_option else "label"
    result = {"label": contender.label, "dtype": contender.dtype, "start": start_seconds(arguments, contender, first), "runs": [],
              "installed": installed_bytes(arguments, contender)}
    with contender.start(arguments) as server:
        server.wait_until_ready(first)
        check_answers(arguments, contender, server, reference)
        requests.ask_once(server.port)
        result["capacity"] = capacity(arguments.generator, server, requests, 1 if arguments.quick else 6, check=check)
        failures += [f"{contender.label}: {one}" for one in complaints(result["capacity"])]
        result["memory"] = server.memory()
        result["within_p99"] = fastest_within(arguments, server, requests, result["capacity"]["goodput"], check, result["runs"])
    note(f"{contender.label}: {result['capacity']['goodput']:.1f} a second, {result['within_p99']:.1f} within {arguments.p99:g} ms, "
         f"{result['memory'] / 1e6:.0f} MB, {result['start']:.2f} s")
    return result


def add_arguments(parser):
    parser.add_argument("--contenders", type=lambda text: text.split(","), default=list(CONTENDERS), help=f"default: {','.join(CONTENDERS)}")
    parser.add_argument("--p99", type=float, default=250, help="milliseconds (default: 250)")


def main():
    arguments = arguments_of(__doc__, add_arguments)
    prepare()
    failures, reference = [], {}
    results = {name: measure(arguments, CONTENDERS[name], reference, failures) for name in arguments.contenders}
    shown = []
    for name, row in results.items():
        ours = results.get("gcvit" if row["dtype"] == "f32" else "gcvit_int8")
        ratio = lambda key, one=row, ours=ours: f"{ours[key] / one[key]:.2f}" if ours and one is not ours and one[key] else "-"
        shown.append((row["label"], f"{row['within_p99']:.1f}", ratio("within_p99"), f"{row['capacity']['goodput']:.1f}",
                      f"{row['memory'] / 1e6:.0f}", ratio("memory"), f"{row['start']:.2f}", f"{row['installed'] / 1e6:.0f}",
                      f"{100 * row['capacity']['generator_cpu']:.1f} %"))
    table(("server", f"requests/s with p99 <= {arguments.p99:g} ms", "gcvit's beside it", "at saturation, 1/s", "memory, MB",
           "gcvit's beside it", "start, s", "installed, MB", "generator, of a core"), shown)
    return finish(arguments, results, failures)


if __name__ == "__main__":
    sys.exit(main())
