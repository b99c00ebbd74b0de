# SPDX-License-Identifier: Apache-2.0
"""FastAPI before ONNX Runtime or OpenVINO, a photo at a time: MODEL=graph PORT=8000 python fastapi_app.py RUNTIME THREADS

FastAPI has no batches. So that all cores compute, THREADS photos are worked on at one time, each on a thread of its own from its bytes to its
logits, and the runtime computes each on one core: that has more throughput than all cores on one photo. uvicorn runs on uvloop and
httptools, one process, without an access log; the answer is made with json.dumps, past FastAPI's own encoder.
"""

import asyncio
import concurrent.futures
import os
import sys
import threading

import uvicorn
from fastapi import FastAPI, Response, UploadFile

import preprocess


class OnnxRuntime:
    def __init__(self, graph, threads):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def __call__(self, images):
        return self.session.run(None, {self.input: images})[0]


class OpenVino:
    """Its throughput mode: a stream a core."""

    def __init__(self, graph, threads, precision="f32"):
        import openvino
        core = openvino.Core()
        self.model = core.compile_model(core.read_model(graph), "CPU", {
            "PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads})
        self.own = threading.local()

    def __call__(self, images):
        if not hasattr(self.own, "request"):
            self.own.request = self.model.create_infer_request()
        return self.own.request.infer([images], share_inputs=True)[0]


RUNTIMES = {"onnxruntime": OnnxRuntime, "openvino": OpenVino,
            "openvino_bf16": lambda graph, threads: OpenVino(graph, threads, "bf16")}


def make_app(compute, threads):
    app = FastAPI()
    pool = concurrent.futures.ThreadPoolExecutor(threads)

    def classify_bytes(photo):
        return preprocess.answer(compute(preprocess.tensor(photo)[None])[0])

    @app.post("/v1/classify")
    async def classify(image: UploadFile):
        text = await asyncio.get_running_loop().run_in_executor(pool, classify_bytes, await image.read())
        return Response(text, media_type="application/json")

    return app


if __name__ == "__main__":
    runtime, threads = sys.argv[1], int(sys.argv[2])
    uvicorn.run(make_app(RUNTIMES[runtime](os.environ["MODEL"], threads), threads), host="127.0.0.1", port=int(os.environ["PORT"]),
                loop="uvloop", http="httptools", access_log=False, log_level="warning")
