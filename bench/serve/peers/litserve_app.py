# SPDX-License-Identifier: Apache-2.0
"""LitServe before timm's model, with LitServe's batches: MODEL=weights PORT=8000 python litserve_app.py THREADS WORKERS

Each worker decodes and computes batches of up to 8, which wait 5 ms for more, on its share of the threads. A worker for each core has twice
the throughput of one worker on two cores, because decoding and computing don't overlap in a worker.
"""

import os
import sys

import litserve
import torch

import preprocess

THREADS, WORKERS = int(sys.argv[1]), int(sys.argv[2])


class Classifier(litserve.LitAPI):
    def setup(self, device):
        import timm
        from safetensors.torch import load_file
        torch.set_num_threads(THREADS // WORKERS)
        self.model = timm.create_model("gcvit_xxtiny", num_classes=1000).eval()
        self.model.load_state_dict(load_file(os.environ["MODEL"]))

    def decode_request(self, request):
        return torch.from_numpy(preprocess.tensor(request["image"].file.read()))

    def batch(self, inputs):
        return torch.stack(inputs)

    def predict(self, images):
        with torch.inference_mode():
            return self.model(images).numpy()

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return preprocess.predictions(output)


if __name__ == "__main__":
    api = Classifier(max_batch_size=8, batch_timeout=0.005, api_path="/v1/classify")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS, timeout=60)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning", num_api_servers=1,
               access_log=False)
