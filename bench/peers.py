# SPDX-License-Identifier: Apache-2.0
"""What compare.py measures gcvit beside: PyTorch, ONNX Runtime and OpenVINO in f32, bf16 and int8.

A peer is a process of compare.py: `use` takes a model and a number of threads, `images` the input, `forward` computes the
logits. Each stands in PEERS once.
"""

import dataclasses
import importlib.metadata
import pathlib
import sys
import tempfile
import time
import typing

CACHE = pathlib.Path(tempfile.gettempdir()) / "gcvit-compare"
CLASSES = 1000
SIDE = 224
CALIBRATION_IMAGES = 32


def version(package):
    return importlib.metadata.version(package)


def weights_name(variant):
    return f"{variant}-timm{version('timm')}.safetensors"


def onnx_name(variant, batch):
    return f"{variant}-b{batch}-timm{version('timm')}-torch{version('torch')}.onnx"


def export_name(variant, _batch):
    """What `gcvit export` made of the same weights; for any batch."""
    return f"{variant}-gcvit.onnx"


def dynamic_name(variant, batch):
    """ONNX Runtime's dynamic quantisation: int8 weights, activations a tensor at a time."""
    return onnx_name(variant, batch).replace(".onnx", f"-dynamic-ort{version('onnxruntime')}.onnx")


def static_name(variant, batch):
    """ONNX Runtime's static quantisation, QDQ, calibrated."""
    return onnx_name(variant, batch).replace(".onnx", f"-static-ort{version('onnxruntime')}.onnx")


def nncf_name(variant, batch):
    return onnx_name(variant, batch).replace(".onnx", f"-nncf{version('nncf')}.xml")


def images_name(batch):
    return f"images-b{batch}.f32"


def make_timm_model(variant):
    import timm
    return timm.create_model(f"gcvit_{variant}", num_classes=CLASSES).eval()


def read_images(batch):
    """[batch, 3, SIDE, SIDE]"""
    import numpy
    images = numpy.fromfile(CACHE / images_name(batch), numpy.float32).reshape(batch, SIDE, SIDE, 3)
    return numpy.ascontiguousarray(images.transpose(0, 3, 1, 2))


class TorchPeer:
    def __init__(self, channels_last=False, bf16=False, compiled=False):
        import torch
        self.torch = torch
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.bf16, self.compiled = bf16, compiled

    def use(self, variant, threads):
        from safetensors.torch import load_file
        self.torch.set_num_threads(threads)
        self.model = make_timm_model(variant)
        self.model.load_state_dict(load_file(CACHE / weights_name(variant)))
        self.model.to(memory_format=self.format)
        if self.compiled:
            self.torch._dynamo.reset()
            self.model = self.torch.compile(self.model)

    def images(self, batch):
        self.input = self.torch.from_numpy(read_images(batch)).contiguous(memory_format=self.format)

    def forward(self):
        with self.torch.inference_mode(), self.torch.autocast("cpu", self.torch.bfloat16, enabled=self.bf16):
            return self.model(self.input).float().numpy()


class OnnxRuntimePeer:
    def __init__(self, graph_name):
        self.graph_name = graph_name

    def use(self, variant, threads):
        self.variant, self.threads = variant, threads

    def images(self, batch):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        self.session = onnxruntime.InferenceSession(CACHE / self.graph_name(self.variant, batch), options,
                                                    providers=["CPUExecutionProvider"])
        self.input = {self.session.get_inputs()[0].name: read_images(batch)}

    def forward(self):
        return self.session.run(None, self.input)[0]


class OpenVinoPeer:
    def __init__(self, graph_name, precision="f32"):
        self.graph_name, self.precision = graph_name, precision

    def use(self, variant, threads):
        self.variant, self.threads = variant, threads

    def images(self, batch):
        import openvino
        core = openvino.Core()
        self.model = core.compile_model(core.read_model(CACHE / self.graph_name(self.variant, batch)), "CPU", {
            "INFERENCE_NUM_THREADS": self.threads, "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "LATENCY"})
        self.input = read_images(batch)

    def forward(self):
        return self.model(self.input)[0]


@dataclasses.dataclass
class Peer:
    label: str
    package: str
    dtype: str
    make: typing.Callable
    ratio: bool = True  # ours over the best peer's counts it


PEERS = {
    "torch": Peer("PyTorch", "torch", "f32", TorchPeer),
    "channels_last": Peer("PyTorch channels_last", "torch", "f32", lambda: TorchPeer(channels_last=True)),
    "torch_compile": Peer("PyTorch compile", "torch", "f32", lambda: TorchPeer(compiled=True)),
    "onnxruntime": Peer("ONNX Runtime", "onnxruntime", "f32", lambda: OnnxRuntimePeer(onnx_name)),
    "openvino": Peer("OpenVINO", "openvino", "f32", lambda: OpenVinoPeer(onnx_name)),
    "onnxruntime_export": Peer("ONNX Runtime, our export", "onnxruntime", "f32", lambda: OnnxRuntimePeer(export_name),
                               ratio=False),
    "openvino_export": Peer("OpenVINO, our export", "openvino", "f32", lambda: OpenVinoPeer(export_name), ratio=False),
    "torch_bf16": Peer("PyTorch bf16", "torch", "bf16", lambda: TorchPeer(bf16=True)),
    "torch_compile_bf16": Peer("PyTorch bf16 compile", "torch", "bf16", lambda: TorchPeer(bf16=True, compiled=True)),
    "openvino_bf16": Peer("OpenVINO bf16", "openvino", "bf16", lambda: OpenVinoPeer(onnx_name, "bf16")),
    "onnxruntime_dynamic": Peer("ONNX Runtime int8, dynamic", "onnxruntime", "int8",
                                lambda: OnnxRuntimePeer(dynamic_name)),
    "onnxruntime_static": Peer("ONNX Runtime int8, static", "onnxruntime", "int8",
                               lambda: OnnxRuntimePeer(static_name)),
    "openvino_int8": Peer("OpenVINO int8 (NNCF)", "openvino", "int8", lambda: OpenVinoPeer(nncf_name)),
}
DEFAULT_PEERS = [name for name, peer in PEERS.items() if peer.ratio]


def serve(name):
    """A peer's process; the protocol is compare_worker.cc's."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what the libraries print is no answer
    peer = PEERS[name].make()

    def answer(word, numbers=()):
        print(word, *numbers, file=answers, flush=True)

    for line in sys.stdin:
        command, *words = line.split()
        if command == "use":
            peer.use(words[0], int(words[1]))
            answer("ready")
        elif command == "images":
            peer.images(int(words[1]))
            answer("logits", peer.forward().ravel().tolist())
        elif command == "run":
            times = []
            begin = now = time.perf_counter()
            while now - begin < float(words[0]) or not times:
                start = now
                peer.forward()
                now = time.perf_counter()
                times.append(now - start)
            answer("times", times)


def calibration_batches(batch):
    """Random images as those that are measured, other ones."""
    import numpy
    random = numpy.random.default_rng(1)
    for _ in range(-(-CALIBRATION_IMAGES // batch)):
        yield random.standard_normal((batch, 3, SIDE, SIDE), numpy.float32)


def export_onnx(model, batch, target):
    import torch
    program = torch.onnx.export(model, (torch.zeros(batch, 3, SIDE, SIDE),), dynamo=True, verbose=False)
    program.save(target)


def quantise_dynamic(graph, target):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(graph, target, weight_type=QuantType.QInt8, per_channel=True)


def quantise_static(graph, target, batch):
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.name = onnx.load(graph, load_external_data=False).graph.input[0].name
            self.batches = calibration_batches(batch)

        def get_next(self):
            images = next(self.batches, None)
            return None if images is None else {self.name: images}

    quantization.quantize_static(graph, target, Reader(), quant_format=quantization.QuantFormat.QDQ,
                                 per_channel=True, weight_type=quantization.QuantType.QInt8)


def quantise_nncf(graph, target, batch):
    import nncf
    import openvino
    model = openvino.Core().read_model(graph)
    quantised = nncf.quantize(model, nncf.Dataset(list(calibration_batches(batch))),
                              model_type=nncf.ModelType.TRANSFORMER, subset_size=max(1, CALIBRATION_IMAGES // batch))
    openvino.save_model(quantised, target, compress_to_fp16=False)


def make(target, write):
    """Makes a file, whole or not at all, unless it is in the cache."""
    if target.exists():
        return
    print(f"making {target.name} (once)", file=sys.stderr, flush=True)
    partial = target.with_name("partial-" + target.name)
    write(partial)
    for suffix in (".bin", ".data"):  # what belongs to it
        if partial.with_suffix(suffix).exists():
            partial.with_suffix(suffix).rename(target.with_suffix(suffix))
    partial.rename(target)


def prepare(rows, peers):
    """Makes the files that the peers need for rows of (variant, threads, batch)."""
    import torch
    from safetensors.torch import load_file, save_file

    for batch in {batch for _, _, batch in rows}:
        torch.randn(batch, SIDE, SIDE, 3, generator=torch.manual_seed(batch)).numpy().tofile(CACHE / images_name(batch))
    for variant in dict.fromkeys(variant for variant, _, _ in rows):
        torch.manual_seed(0)
        model = make_timm_model(variant)
        make(CACHE / weights_name(variant), lambda target, model=model: save_file(model.state_dict(), target))
        model.load_state_dict(load_file(CACHE / weights_name(variant)))
        batches = sorted({batch for name, _, batch in rows if name == variant})
        for batch in batches if {"onnxruntime", "openvino"} & {PEERS[name].package for name in peers} else []:
            graph = CACHE / onnx_name(variant, batch)
            make(graph, lambda target, model=model, batch=batch: export_onnx(model, batch, target))
            if "onnxruntime_dynamic" in peers:
                make(CACHE / dynamic_name(variant, batch), lambda target, graph=graph: quantise_dynamic(graph, target))
            if "onnxruntime_static" in peers:
                make(CACHE / static_name(variant, batch),
                     lambda target, graph=graph, batch=batch: quantise_static(graph, target, batch))
            if "openvino_int8" in peers:
                make(CACHE / nncf_name(variant, batch),
                     lambda target, graph=graph, batch=batch: quantise_nncf(graph, target, batch))
