# SPDX-License-Identifier: Apache-2.0
"""What the scripts here share: servers, requests, the load generator, memory, and how results are written."""

import argparse
import base64
import http.client
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

from compare import cpu_description, percentile  # noqa: E402

HOST = "127.0.0.1"
TOP_K = 5
BOUNDARY = "----the-photo-of-a-benchmark"
FLOWERS = ROOT / "models/gcvit_flowers.safetensors"


# Models and requests.


def model_file(name):
    """Of "flowers", "xxtiny" or a path."""
    if name == "flowers":
        return FLOWERS
    if name == "xxtiny":
        return random_model("xxtiny")
    return pathlib.Path(name).resolve()


def random_model(variant):
    """timm's model with random weights, which bench/compare.py measures too."""
    try:
        from peers import CACHE, weights_name
        path = CACHE / weights_name(variant)
    except ImportError:
        path = None
    if path is None or not path.exists():
        script = (f"import peers; peers.CACHE.mkdir(exist_ok=True); peers.prepare([('{variant}', 1, 1)], []); "
                  f"print(peers.CACHE / peers.weights_name('{variant}'))")
        made = subprocess.run([sys.executable, "-c", script], cwd=ROOT / "bench", capture_output=True, text=True)
        if made.returncode:
            sys.exit(f"{variant}: its weights are made by timm: pip install torch timm safetensors\n{made.stderr}")
        path = pathlib.Path(made.stdout.split()[-1])
    return path


def http_request(path, body, content_type, **fields):
    """The bytes of a whole request."""
    head = [f"POST {path} HTTP/1.1", f"Host: {HOST}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}",
            *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def photo_request(photo):
    return http_request(f"/v1/classify?top_k={TOP_K}", photo, "image/jpeg")


def form_request(photo):
    """As browsers, curl -F and Python's clients send files."""
    head = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n").encode()
    return http_request(f"/v1/classify?top_k={TOP_K}", head + photo + f"\r\n--{BOUNDARY}--\r\n".encode(),
                        f"multipart/form-data; boundary={BOUNDARY}")


def tensor_request(model, values, shape):
    """float32 behind the JSON, as Triton's clients send tensors; logits come back so, too."""
    inference = {"inputs": [{"name": "tensor", "shape": shape, "datatype": "FP32",
                             "parameters": {"binary_data_size": len(values)}}],
                 "outputs": [{"name": "logits", "parameters": {"binary_data": True}}]}
    text = json.dumps(inference).encode()
    return http_request(f"/v2/models/{model}/infer", text + values, "application/octet-stream",
                        Inference_Header_Content_Length=len(text))


def json_request(model, photo):
    inference = {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(photo).decode()]}],
                 "outputs": [{"name": "logits"}]}
    return http_request(f"/v2/models/{model}/infer", json.dumps(inference).encode(), "application/json")


class Requests:
    """Files that the load generator sends, and the answers that it expects."""

    def __init__(self, requests):
        self.folder = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.folder.name)
        self.files = [path / f"{number}.http" for number in range(len(requests))]
        for file, request in zip(self.files, requests, strict=True):
            file.write_bytes(request)
        self.expected = None

    def ask_once(self, port):
        """The bodies of the answers to all, which later ones are compared with."""
        self.expected = pathlib.Path(self.folder.name)
        answers = []
        for number, file in enumerate(self.files):
            answers.append(ask(port, file.read_bytes()))
            (self.expected / str(number)).write_bytes(answers[-1])
        return answers


def ask(port, request):
    head, _, body = request.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    connection.request("POST", first.split()[1], body, dict(field.split(": ", 1) for field in fields))
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status != 200:
        sys.exit(f"{first}: expected status 200, found {response.status}: {answer[:500]}")
    return answer


# Servers.


class Process:
    """A server by its command, which listens on the port that it gets as PORT in its environment."""

    def __init__(self, command, port, environment=None, log=None):
        self.port, self.log = port, log
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, env={**os.environ, "PORT": str(port), **(environment or {})},
                                        stdout=log or subprocess.DEVNULL, stderr=log or subprocess.DEVNULL,
                                        start_new_session=True)
        self.pid = self.process.pid

    def wait_until_ready(self, request, seconds=120):
        """Seconds from the start to the first answer."""
        while time.monotonic() < self.started + seconds:
            if self.process.poll() is not None:
                sys.exit(f"the server ended with {self.process.returncode}")
            try:
                ask(self.port, request)
                return time.monotonic() - self.started
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
        sys.exit(f"the server was not ready within {seconds} s")

    def pids(self):
        return process_tree(self.pid)

    def memory(self):
        return sum(map(proportional_memory, self.pids()))

    def stop(self):
        """SIGTERM; the exit code, which is that of SIGKILL where it doesn't end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()

    def kill(self):
        """Ends it with all the processes that it has started, which some leave behind."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class Gcvit(Process):
    """`gcvit serve` on a free port, listening."""

    def __init__(self, program, model, *arguments, port=0):
        self.started = time.monotonic()
        self.process = subprocess.Popen([program, "serve", "--port", str(port), "-m", f"model={model}", *arguments],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            sys.exit(f"expected gcvit serve to listen, found {line!r} and exit code {self.process.wait()}")
        self.port, self.pid = int(line.rpartition(":")[2]), self.process.pid


def free_port():
    import socket
    with socket.socket() as one:
        one.bind((HOST, 0))
        return one.getsockname()[1]


def process_tree(pid):
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            for child in (task / "children").read_text().split():
                found += process_tree(int(child))
        except OSError:  # it ended meanwhile
            continue
    return found


def proportional_memory(pid):
    """Bytes in memory of a process, with its share of what others map too."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    return 0


def resident_memory(pid):
    return os.sysconf("SC_PAGE_SIZE") * int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])


class MemoryWatch:
    """A process's resident memory over time: (seconds, bytes)."""

    def __init__(self, pid, interval=0.5):
        self.pid, self.interval, self.samples, self.over = pid, interval, [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        begin = time.monotonic()
        while not self.over.wait(self.interval):
            self.samples.append((time.monotonic() - begin, resident_memory(self.pid)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


# The load generator.


def load(generator, mode, server, requests, check="exact", **options):
    """What one run of it measured."""
    command = [generator, mode, "--port", str(server.port), "--check", check, "--pid", *map(str, server.pids()),
               "--request", *map(str, requests.files)]
    if requests.expected:
        command += ["--expect", str(requests.expected)]
    if "rate" in options:
        options["rate"] = max(options["rate"], 1.0)  # where so little was answered that it is 0
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr)
    return json.loads(run.stdout)


def complaints(measured, statuses=("200",)):
    """What of a run must not be, as sentences."""
    found = [f"{count} requests {outcome}" for outcome, count in measured["outcomes"].items() if outcome != "answered" and count]
    return found + [f"{count} answers with status {status}" for status, count in measured["statuses"].items()
                    if status not in statuses]


def capacity(generator, server, requests, seconds, connections=24, **options):
    """Closed loop."""
    return load(generator, "closed", server, requests, connections=connections, seconds=seconds, **options)


def read_samples(path):
    """(intended, late, latency, request, status) of every request, in the order of their beginnings."""
    rows = [line.split(",") for line in pathlib.Path(path).read_text().splitlines()[1:]]
    return sorted((float(a), float(b), float(c), int(d), int(e)) for a, b, c, d, e in rows)


# Scripts.


def arguments_of(description, add=lambda parser: None):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gcvit", type=pathlib.Path, default=ROOT / "build/release/bin/gcvit", help="default: build/release/bin/gcvit")
    parser.add_argument("--bench", type=pathlib.Path, default=ROOT / "build/release/bench",
                        help="folder of serve_load and serve_pipeline (default: build/release/bench)")
    parser.add_argument("--photos", type=pathlib.Path, default=ROOT / "examples/photos", help="folder of JPEGs (default: examples/photos)")
    parser.add_argument("--json", type=pathlib.Path, help="write everything measured to this file")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: shows that all works, measures nothing")
    add(parser)
    arguments = parser.parse_args()
    arguments.generator = arguments.bench / "serve_load"
    for program in (arguments.gcvit, arguments.generator):
        if not program.exists():
            sys.exit(f"{program}: not there; cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release")
    arguments.photo_files = sorted(arguments.photos.glob("*.jpg"))
    if not arguments.photo_files:
        sys.exit(f"{arguments.photos}: expected JPEGs, found none")
    return arguments


def add_models(default):
    def add(parser):
        parser.add_argument("--models", type=lambda text: text.split(","), default=default,
                            help=f"flowers, xxtiny (timm's, with random weights) or files (default: {','.join(default)})")
    return add


def photo_requests(arguments):
    return Requests([photo_request(photo.read_bytes()) for photo in arguments.photo_files])


def check_with_program(arguments, model, answers):
    """Holds answers to `photo_requests` against what `gcvit classify` says."""
    said = json.loads(subprocess.run([arguments.gcvit, "classify", "-m", model, "--json", "-k", str(TOP_K),
                                      *map(str, arguments.photo_files)], capture_output=True, check=True).stdout)
    for photo, result, answer in zip(arguments.photo_files, said["results"], answers, strict=True):
        if json.loads(answer)["predictions"] != result["predictions"]:
            sys.exit(f"{photo}: the server and gcvit classify disagree: {answer} and {result['predictions']}")


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("| --- |" + " ---: |" * (len(header) - 1))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")


def note(*words):
    print(*words, file=sys.stderr, flush=True)


def finish(arguments, results, failures):
    """Writes the JSON; the exit code, 1 where an answer was lost or wrong."""
    measured = {"cpu": cpu_description(), "processors": os.cpu_count(), "load_average": os.getloadavg()[0],
                "results": results, "failures": failures}
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1) + "\n")
    for failure in failures:
        note(f"FAILED: {failure}")
    return 1 if failures else 0


def floats(values):
    return struct.unpack(f"<{len(values) // 4}f", values)
