# SPDX-License-Identifier: Apache-2.0
"""Asks `gcvit serve` with curl and tritonclient, unmodified: clients_test.py PROGRAM MODEL PHOTOS"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

PROGRAM, MODEL, PHOTOS = (os.path.abspath(argument) for argument in sys.argv[1:])
KEY = "a-key-of-this-test"


class Server:
    """The program, listening; stopped with the object. With a pair of certificate and key, through TLS."""

    def __init__(self, *arguments, pair=None):
        self.certificate = pair and pair[0]
        if pair:
            arguments += ("--tls-certificate", pair[0], "--tls-key", pair[1])
        self.process = subprocess.Popen([PROGRAM, "serve", "--port", "0", *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        scheme = "https" if pair else "http"
        assert line.startswith(f"listening on {scheme}://127.0.0.1:"), line + self.process.stderr.read()
        self.url = line.split()[2]

    def client(self):
        address = self.url.split("://")[1]
        if not self.certificate:
            return triton.InferenceServerClient(address, concurrency=4)
        return triton.InferenceServerClient(address, concurrency=4, ssl=True, ssl_options={"ca_certs": self.certificate})

    def curl(self, *arguments):
        """The status and the body."""
        trust = ["--cacert", self.certificate] if self.certificate else []
        run = subprocess.run(["curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}", *trust, *arguments], capture_output=True, check=True)
        body, status = run.stdout.rsplit(b"\n", 1)
        return int(status), body

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def run_program(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, check=True).stdout


def expected_answers(photo, folder):
    """What the program itself says: classes, the model's tensor and its logits."""
    classes = json.loads(run_program("classify", "-m", MODEL, "--json", "-k", "3", photo))
    run_program("preprocess", "-m", MODEL, photo, "-o", f"{folder}/x.npy")
    run_program("forward", "-m", MODEL, f"{folder}/x.npy", "-o", f"{folder}/out.npz")
    return classes["results"][0]["predictions"], np.load(f"{folder}/x.npy"), np.load(f"{folder}/out.npz")["logits"]


def check_curl(server, photo, predictions):
    url, curl = server.url, server.curl
    assert curl(f"{url}/v2/health/ready")[0] == 200
    for how in (["--data-binary", f"@{photo}"], ["-F", f"image=@{photo}"], ["-T", photo, "-X", "POST"],
                ["--data-binary", f"@{photo}", "-H", "Transfer-Encoding: chunked"], ["--http1.0", "--data-binary", f"@{photo}"],
                ["--data-binary", f"@{photo}", "-H", "Expect: 100-continue"]):
        status, body = curl(*how, f"{url}/v1/classify?top_k=3")
        assert status == 200, (how, body)
        found = json.loads(body)
        assert [one["label"] for one in found["predictions"]] == [one["label"] for one in predictions], how
        assert all(abs(a["probability"] - b["probability"]) < 1e-6 for a, b in zip(found["predictions"], predictions)), how
        assert found["model"] == "gcvit_flowers"
    status, body = curl("--data-binary", "no photo", f"{url}/v1/classify")
    assert (status, list(json.loads(body))) == (415, ["error"]), body
    assert curl("--data-binary", f"@{photo}", f"{url}/v1/classify?model=/etc/passwd")[0] == 404
    assert json.loads(curl(f"{url}/openapi.json")[1])["openapi"] == "3.1.0"
    assert b'gcvit_requests_total{route="/v1/classify",status="415"} 1\n' in curl(f"{url}/metrics")[1]


def check_explanations(server, photo, folder):
    """Explanations and features are what the program writes."""
    url, curl = server.url, server.curl
    post = ["--data-binary", f"@{photo}"]

    def explained(query, *flags):
        run = run_program("explain", "-m", MODEL, photo, "-o", f"{folder}/why.png", "--json", *flags)
        written = json.loads(run)["results"][0]["explanations"][0]
        status, body = curl(*post, f"{url}/v1/explain?{query}")
        assert status == 200, body
        found = json.loads(body)
        for key in ("method", "level", "index", "label", "score_is", "empty"):
            assert found.get(key) == written.get(key), (query, key, found, written)
        for key in ("score", "range"):
            assert np.array_equal(np.float32(found.get(key, 0)), np.float32(written.get(key, 0))), (query, key, found, written)
        assert max(found["map"]["values"]) == found["range"][1], query
        status, body = curl(*post, f"{url}/v1/explain?{query}&format=png")
        assert status == 200 and body == pathlib.Path(f"{folder}/why.png").read_bytes(), query
        return found, np.load(f"{folder}/why.npy")

    found, on_photo = explained("")
    height, width = on_photo.shape
    assert found["photo"] == {"height": height, "width": width}
    seen = found["seen"]
    rows, columns = np.nonzero(on_photo)
    assert rows.min() >= seen["top"] - 1 and rows.max() <= seen["top"] + seen["height"]
    assert columns.min() >= seen["left"] - 1 and columns.max() <= seen["left"] + seen["width"]
    explained("class=daisy&score=probability&level=2", "--class", "daisy", "--probability", "--level", "2")
    explained("method=attention&level=2&block=1&head=0", "--method", "attention", "--level", "2", "--block", "1", "--head", "0")

    status, body = curl(*post, f"{url}/v1/classify?explain=grad-cam")
    assert status == 200 and json.loads(body)["explanation"]["index"] == found["index"], body
    assert curl(*post, f"{url}/v1/explain?method=occlusion")[0] == 400

    for feature, flags in (("pooled", []), ("level3", ["--level", "3"])):
        run_program("features", "-m", MODEL, photo, "-o", f"{folder}/features.npy", *flags)
        status, body = curl(*post, f"{url}/v1/features?feature={feature}")
        written, found = np.load(f"{folder}/features.npy"), json.loads(body)
        assert status == 200 and list(written.shape) == [1, *found["shape"]], body
        assert np.array_equal(np.array(found["values"], np.float32), written.ravel()), feature

    models = json.loads(curl(f"{url}/v1/models")[1])
    assert models["explain"] and models["models"][0]["name"] == "gcvit_flowers", models
    info = json.loads(run_program("info", "-m", MODEL, "--json"))
    assert models["models"][0]["parameters"] == info["parameters"]
    assert models["models"][0]["labels"] == info["classes"]


def image_input(files):
    tensor = triton.InferInput("image", [len(files)], "BYTES")
    return tensor.set_data_from_numpy(np.array(files, dtype=np.object_), binary_data=True)


def check_triton(server, photos, answers):
    client = server.client()
    name = "gcvit_flowers"
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(name) and client.is_model_ready(name, "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["name"] == "gcvit"
    assert [one["name"] for one in client.get_model_metadata(name)["inputs"]] == ["image", "pixels", "tensor"]

    files = [photo.read_bytes() for photo in photos]
    logits = np.concatenate([answer[2] for answer in answers])
    labels = [answer[0][0]["label"].encode() for answer in answers]
    for compression in (None, "gzip", "deflate"):
        result = client.infer(name, [image_input(files)], request_compression_algorithm=compression, request_id="7")
        assert np.array_equal(result.as_numpy("logits"), logits), compression
        assert list(result.as_numpy("labels")) == labels
        assert np.allclose(result.as_numpy("probabilities").sum(axis=1), 1.0, atol=1e-5)
        assert result.get_response()["id"] == "7"

    tensors = np.concatenate([answer[1].reshape(1, *answer[1].shape[-3:]) for answer in answers])
    for binary_input in (True, False):
        for binary_output in (True, False):
            some = tensors[:2]  # as JSON they are long
            tensor = triton.InferInput("tensor", list(some.shape), "FP32").set_data_from_numpy(some, binary_data=binary_input)
            outputs = [triton.InferRequestedOutput("logits", binary_data=binary_output)]
            found = client.infer(name, [tensor], outputs=outputs).as_numpy("logits")
            assert np.array_equal(found, logits[:2]), (binary_input, binary_output)

    pixels = np.zeros((1, 40, 30, 3), np.uint8)
    tensor = triton.InferInput("pixels", list(pixels.shape), "UINT8").set_data_from_numpy(pixels)
    assert client.infer(name, [tensor]).as_numpy("logits").shape == (1, logits.shape[1])

    outputs = [triton.InferRequestedOutput("probabilities", class_count=2)]
    best = client.infer(name, [image_input(files[:1])], outputs=outputs).as_numpy("probabilities")
    assert best.shape == (1, 2) and best[0, 0].split(b":")[2] == labels[0]

    running = [client.async_infer(name, [image_input([file])]) for file in files * 3]
    for number, request in enumerate(running):
        assert np.array_equal(request.get_result().as_numpy("logits")[0], logits[number % len(files)])

    try:
        client.infer(name, [image_input([files[0], b"broken"])])
        raise AssertionError("a broken image was classified")
    except InferenceServerException as error:
        assert "image 1" in error.message(), error.message()


def check_signals(server, photo, answer):
    """SIGHUP reads the model again without losing a request, SIGTERM ends the server with exit code 0."""
    lost = []
    stop = threading.Event()

    def ask():
        client = server.client()
        while not stop.is_set():
            try:
                found = client.infer("gcvit_flowers", [image_input([photo.read_bytes()])]).as_numpy("logits")
                if not np.array_equal(found, answer[2]):
                    lost.append("other bits")
            except Exception as error:  # whatever a client can throw
                lost.append(repr(error))
        client.close()  # in the thread that made it, as gevent wants it

    thread = threading.Thread(target=ask)
    thread.start()
    for _ in range(3):
        server.process.send_signal(signal.SIGHUP)
        if server.certificate:
            line = server.process.stderr.readline()
            assert "certificate: read again from" in line, line
        line = server.process.stderr.readline()
        assert "gcvit_flowers: read again from" in line, line
    stop.set()
    thread.join()
    assert not lost, lost
    assert server.stop() == 0


def check_keys(folder):
    refused = subprocess.run([PROGRAM, "serve", "-m", MODEL, "--host", "0.0.0.0", "--port", "0"], capture_output=True, text=True)
    assert refused.returncode == 2 and "--allow-anonymous" in refused.stderr, refused
    keys = pathlib.Path(folder) / "keys"
    keys.write_text(f"# of the test\n{KEY}\n")
    with Server("-m", f"flowers={MODEL}", "--api-key-file", str(keys)) as server:
        assert server.curl(f"{server.url}/v2/health/live")[0] == 200
        assert server.curl(f"{server.url}/v2/models/flowers")[0] == 401
        assert server.curl("-H", f"Authorization: Bearer {KEY}x", f"{server.url}/v2/models/flowers")[0] == 401
        assert server.curl("-H", f"Authorization: Bearer {KEY}", f"{server.url}/v2/models/flowers")[0] == 200
        assert server.stop() == 0


def make_pair(folder):
    """A certificate of this machine, signed by itself, and its key."""
    pair = f"{folder}/certificate.pem", f"{folder}/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", pair[0], "-keyout", pair[1]], capture_output=True, check=True)
    return pair


def check_listeners(server):
    """Metrics have an address of their own."""
    words = server.process.stdout.readline().split()
    assert words[:2] == ["metrics", "on"], words
    assert server.curl(f"{server.url}/metrics")[0] == 404
    assert b"gcvit_connections 1\n" in server.curl(f"{words[2]}/metrics")[1]


def main():
    assert shutil.which("curl") and shutil.which("openssl"), "expected curl and openssl"
    photos = sorted(pathlib.Path(PHOTOS).glob("*.jpg"))[:4]
    with tempfile.TemporaryDirectory() as folder:
        answers = [expected_answers(str(photo), folder) for photo in photos]
        with Server("-m", MODEL) as server:
            check_curl(server, str(photos[0]), answers[0][0])
            check_explanations(server, str(photos[0]), folder)
            check_triton(server, photos, answers)
            check_signals(server, photos[0], answers[0])
        check_keys(folder)
        pair = make_pair(folder)
        with Server("-m", MODEL, pair=pair) as server:
            check_curl(server, str(photos[0]), answers[0][0])
            check_triton(server, photos, answers)
            check_signals(server, photos[0], answers[0])
        with Server("-m", MODEL, "--metrics", "127.0.0.1:0", pair=pair) as server:
            check_listeners(server)
            assert server.stop() == 0
    print(f"curl and tritonclient get the program's own answers about {len(photos)} photos, plainly and through TLS")


if __name__ == "__main__":
    main()
