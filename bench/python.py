#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the Python package costs and gains beside timm and ONNX Runtime: importing, size, images a second from a folder, a call, memory.

    pip install dist/gcvit_cpp-*.whl torch==2.14.1 timm==1.0.31 onnx onnxscript onnxruntime==1.32.0 safetensors packaging
    cmake --preset release -DGCVIT_BENCH=ON && cmake --build --preset release --target python_worker
    python bench/python.py FOLDER --json python.json

FOLDER has JPEGs. Each contender names every photo of a sample of them, from file to probabilities, in a process of its own that stays
alive; they take turns, in an order that rotates, with the files in the page cache. The model is timm's gcvit_xxtiny with random weights at
224x224, the same for all, and the run stops unless all f32 probabilities agree.

    gcvit           Classifier.predict_proba
    timm            its transforms and model under torch.inference_mode, batches of a torchvision-style DataLoader, with
                    processes that decode or without, as it is and compiled
    ONNX Runtime    timm's model exported by torch.onnx; Pillow and NumPy on a pool of threads decode the next batch meanwhile

Prints a Markdown table for docs/python.md: medians (10th to 90th percentile). Only ratios of one run mean anything.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from compare import PAUSE, Contender, cpu_description, percentile
from peers import CACHE, CLASSES, SIDE, make, make_timm_model, version

SCRIPT = pathlib.Path(__file__).resolve()
ROOT = SCRIPT.parent.parent
BATCH = 8
RESIZED = 256  # the shorter side before the crop of SIDE, as timm's configuration of the model says
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WEIGHTS = CACHE / f"xxtiny-timm{version('timm')}.safetensors"
TINY = CACHE / f"tiny-timm{version('timm')}.safetensors"
TINY_SIDE = 64
PIXELS = CACHE / f"pixels-{TINY_SIDE}.u8"
GRAPH = CACHE / f"xxtiny-b{BATCH}-timm{version('timm')}-torch{version('torch')}.onnx"
ENVIRONMENT = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "ORT_", "GCVIT_")


# Contenders: made with a number of threads; called with paths, they give the probabilities of each.


class Gcvit:
    def __init__(self, threads, dtype="f32"):
        import gcvit_cpp
        self.classifier = gcvit_cpp.Classifier(gcvit_cpp.load(WEIGHTS, dtype=dtype), threads=threads)

    def __call__(self, paths):
        return self.classifier.predict_proba(paths)


class Timm:
    def __init__(self, threads, workers=0, compiled=False):
        import timm
        import torch
        from safetensors.torch import load_file
        self.torch, self.workers = torch, workers
        torch.set_num_threads(threads)
        self.model = make_timm_model("xxtiny")
        self.model.load_state_dict(load_file(WEIGHTS))
        config = timm.data.resolve_data_config(model=self.model)
        self.transform = timm.data.create_transform(**config)
        if compiled:
            self.model = torch.compile(self.model)
        self.loader = None

    def __call__(self, paths):
        if self.loader is None:
            self.loader = self.make_loader(paths)
        with self.torch.inference_mode():
            return self.torch.cat([self.model(images).softmax(-1) for images in self.loader]).numpy()

    def make_loader(self, paths):
        from PIL import Image
        transform = self.transform

        class Photos(self.torch.utils.data.Dataset):
            def __len__(self):
                return len(paths)

            def __getitem__(self, index):
                return transform(Image.open(paths[index]).convert("RGB"))

        return self.torch.utils.data.DataLoader(Photos(), BATCH, num_workers=self.workers, persistent_workers=self.workers > 0)


class OnnxRuntime:
    def __init__(self, threads):
        import concurrent.futures
        import numpy
        import onnxruntime
        self.numpy = numpy
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(GRAPH, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.decoders = concurrent.futures.ThreadPoolExecutor(threads)
        self.scale = (1 / (255 * numpy.array(STD, numpy.float32))).reshape(3, 1, 1)
        self.shift = (numpy.array(MEAN, numpy.float32) / numpy.array(STD, numpy.float32)).reshape(3, 1, 1)

    def tensor(self, path):
        from PIL import Image
        image = Image.open(path).convert("RGB")
        width, height = image.size
        shorter = min(width, height)
        image = image.resize((RESIZED * width // shorter, RESIZED * height // shorter), Image.Resampling.BICUBIC)
        left, top = round((image.width - SIDE) / 2), round((image.height - SIDE) / 2)
        pixels = self.numpy.asarray(image.crop((left, top, left + SIDE, top + SIDE)))
        return pixels.transpose(2, 0, 1) * self.scale - self.shift

    def __call__(self, paths):
        start = lambda first: [self.decoders.submit(self.tensor, path) for path in paths[first:first + BATCH]]
        outputs, decoding = [], start(0)
        for first in range(0, len(paths), BATCH):
            images = self.numpy.stack([one.result() for one in decoding])
            decoding = start(first + BATCH)
            outputs.append(self.session.run(None, {self.input: images})[0])
        logits = self.numpy.concatenate(outputs)
        exponentials = self.numpy.exp(logits - logits.max(1, keepdims=True))
        return exponentials / exponentials.sum(1, keepdims=True)


CONTENDERS = {
    "gcvit": ("gcvit f32", lambda threads: Gcvit(threads)),
    "gcvit_int8": ("gcvit int8", lambda threads: Gcvit(threads, "int8")),
    "timm": ("timm, DataLoader without workers", lambda threads: Timm(threads)),
    "timm_workers": ("timm, DataLoader with 2 workers", lambda threads: Timm(threads, workers=2)),
    "timm_compiled": ("timm compiled, DataLoader with 2 workers", lambda threads: Timm(threads, workers=2, compiled=True)),
    "onnxruntime": ("ONNX Runtime, Pillow on 2 threads", OnnxRuntime),
}
OURS = ("gcvit", "gcvit_int8")


def peak_memory():
    """Of this process and of its children's own, in bytes: the largest that each had in memory."""
    def peak(process):
        status = pathlib.Path(f"/proc/{process}/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))

    children = pathlib.Path("/proc/self/task", str(os.getpid()), "children").read_text().split()
    return peak("self"), sum(map(peak, children))


def serve(name, threads, photos):
    """A contender's process. For each line on standard input: "first", the probabilities; "run", the seconds; "memory"."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what the libraries print is no answer
    paths = pathlib.Path(photos).read_text().splitlines()
    run = CONTENDERS[name][1](threads)
    for line in sys.stdin:
        if line == "first\n":
            answer = run(paths).ravel().tolist()
        elif line == "run\n":
            begin = time.perf_counter()
            run(paths)
            answer = [time.perf_counter() - begin]
        else:
            answer = peak_memory()
        print("answer", *answer, file=answers, flush=True)


def serve_calls():
    """Classifies an array with the tiny model; python_worker.cc's protocol."""
    import gcvit_cpp
    import numpy
    classifier = gcvit_cpp.Classifier(TINY, threads=1)
    pixels = numpy.fromfile(PIXELS, numpy.uint8).reshape(TINY_SIDE, TINY_SIDE, 3)
    for line in sys.stdin:
        times = []
        begin = now = time.perf_counter()
        while now - begin < float(line):
            start = now
            classifier(pixels)
            now = time.perf_counter()
            times.append(now - start)
        print("times", *times, flush=True)


# Measuring.


def prepare():
    import torch
    from peers import export_onnx
    from safetensors.torch import load_file, save_file
    from timm.models.gcvit import GlobalContextVit
    CACHE.mkdir(exist_ok=True)
    torch.manual_seed(0)
    model = make_timm_model("xxtiny")
    make(WEIGHTS, lambda target: save_file(model.state_dict(), target))
    model.load_state_dict(load_file(WEIGHTS))
    make(GRAPH, lambda target: export_onnx(model, BATCH, target))
    tiny = GlobalContextVit(embed_dim=32, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8), mlp_ratio=1.0, num_classes=3,
                            img_size=(TINY_SIDE, TINY_SIDE))
    make(TINY, lambda target: save_file(tiny.state_dict(), target))
    torch.randint(256, (TINY_SIDE, TINY_SIDE, 3), dtype=torch.uint8, generator=torch.manual_seed(0)).numpy().tofile(PIXELS)


def clean_environment():
    return {key: value for key, value in os.environ.items() if not key.startswith(ENVIRONMENT)}


def summary(values, scale=1.0, digits=1):
    return (f"{scale * statistics.median(values):.{digits}f} ({scale * percentile(values, 0.1):.{digits}f}"
            f"..{scale * percentile(values, 0.9):.{digits}f})")


IMPORTS = {"gcvit_cpp": "import gcvit_cpp", "gcvit_cpp and numpy": "import gcvit_cpp, numpy", "onnxruntime": "import onnxruntime",
           "torch, timm": "import torch, timm"}


def measure_imports(rounds):
    """Milliseconds of each import in a new interpreter."""
    times = {name: [] for name in IMPORTS}
    for turn in range(rounds + 1):
        for name, statement in IMPORTS.items():
            script = f"import time; begin = time.perf_counter(); {statement}; print(time.perf_counter() - begin)"
            printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=CACHE,
                                     env=clean_environment()).stdout
            if turn > 0:  # the first one reads the files from the disk
                times[name].append(float(printed.split()[-1]))
    return times


def installed_size(*names):
    """Bytes of these distributions and of all that they need, as installed here."""
    from packaging.requirements import Requirement
    needed, bytes_ = list(names), {}
    while needed:
        name = needed.pop().lower().replace("_", "-")
        if name in bytes_:
            continue
        distribution = importlib.metadata.distribution(name)
        files = [pathlib.Path(file.locate()) for file in distribution.files or ()]
        bytes_[name] = sum(file.stat().st_size for file in files if file.exists())
        for requirement in map(Requirement, distribution.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed.append(requirement.name)
    return sum(bytes_.values())


def take_turns(contenders, rounds, ask):
    for turn in range(rounds):
        shift = turn % len(contenders)
        for contender in contenders[shift:] + contenders[:shift]:
            time.sleep(PAUSE)
            ask(contender)


def measure_throughput(names, photos, threads, rounds):
    """Images a second, of each round; and the peaks of memory."""
    environment = clean_environment()
    contenders = [Contender(name, [sys.executable, SCRIPT, "--serve", name, "--threads", str(threads), photos], environment)
                  for name in names]
    count = len(pathlib.Path(photos).read_text().splitlines())
    probabilities = {contender.name: contender.numbers("first") for contender in contenders}
    for name, values in probabilities.items():
        difference = max(abs(a - b) for a, b in zip(values, probabilities["gcvit"], strict=True)) / max(probabilities["gcvit"])
        print(f"{name}: probabilities differ by {difference:.1e} of the largest", file=sys.stderr)
        if name != "gcvit_int8" and difference > 1e-4:
            sys.exit(f"{name}: its probabilities disagree with gcvit's")
    speeds = {name: [] for name in names}
    take_turns(contenders, rounds, lambda one: speeds[one.name].append(count / one.numbers("run")[0]))
    memory = {contender.name: contender.numbers("memory") for contender in contenders}
    for contender in contenders:
        contender.close()
    return speeds, memory


def measure_calls(worker, rounds):
    """Seconds of every call in C++ and in Python, by turns."""
    environment = clean_environment()
    contenders = [Contender("C++", [worker.resolve(), TINY, PIXELS, str(TINY_SIDE), "1"], environment),
                  Contender("Python", [sys.executable, SCRIPT, "--serve", "calls", "-"], environment)]
    times = {contender.name: [] for contender in contenders}
    for contender in contenders:
        contender.numbers(0.2)
    take_turns(contenders, 2 * rounds, lambda one: times[one.name].extend(one.numbers(0.3)))
    for contender in contenders:
        contender.close()
    return times


def choose_photos(folder, count):
    """So many, evenly of all."""
    found = sorted(str(path.resolve()) for path in folder.rglob("*.jpg"))
    if len(found) < count:
        sys.exit(f"{folder}: expected at least {count} JPEGs, found {len(found)}")
    return [found[i * len(found) // count] for i in range(count)]


def report(measured):
    print(f"{measured['cpu']}, {measured['processors']} processors, load average {measured['load']:.2f} before; "
          + ", ".join(f"{name} {number}" for name, number in measured["versions"].items()) + "\n")
    print("| | images a second | beside the best peer | peak memory, MB |\n| --- | ---: | ---: | ---: |")
    speeds = {name: statistics.median(values) for name, values in measured["speeds"].items()}
    peers = [name for name in speeds if name not in OURS]
    best = max(peers, key=speeds.get) if peers else None
    for name, values in measured["speeds"].items():
        own, children = measured["memory"][name]
        ratio = f"{speeds[name] / speeds[best]:.2f}" if best else ""
        shown = f"{own / 1e6:.0f}" + (f", its workers {children / 1e6:.0f}" if children else "")
        print(f"| {CONTENDERS[name][0]} | {summary(values)} | {ratio} | {shown} |")
    print("\n| | import, ms | installed, MB |\n| --- | ---: | ---: |")
    for name, values in measured["imports"].items():
        size = measured["sizes"].get(name)
        print(f"| {name} | {summary(values, 1e3, 0)} | {'' if size is None else f'{size / 1e6:.0f}'} |")
    if measured["calls"]:
        cpp, python = measured["calls"]["C++"], measured["calls"]["Python"]
        price = statistics.median(python) - statistics.median(cpp)
        print(f"\nA call with an array of {TINY_SIDE}x{TINY_SIDE} pixels and a tiny model, microseconds: C++ {summary(cpp, 1e6)}, "
              f"Python {summary(python, 1e6)}; Python adds {1e6 * price:.0f}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="JPEGs, with those in folders below it")
    parser.add_argument("--photos", type=int, default=96, help="how many a turn (default: 96)")
    parser.add_argument("--threads", type=int, default=2, help="of each contender (default: 2)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every contender (default: 7)")
    parser.add_argument("--contenders", type=lambda text: text.split(","), default=list(CONTENDERS),
                        help=f"default: {','.join(CONTENDERS)}")
    parser.add_argument("--worker", type=pathlib.Path, default=ROOT / "build/release/bench/python_worker",
                        help="the C++ side of a call (default: build/release/bench/python_worker); left out where it isn't")
    parser.add_argument("--json", type=pathlib.Path, help="write everything measured to this file")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--prepare", action="store_true", help="only make the files that the contenders need")
    arguments = parser.parse_args()
    if arguments.serve:
        return serve_calls() if arguments.serve == "calls" else serve(arguments.serve, arguments.threads, arguments.folder)
    if arguments.prepare:
        return prepare()
    if arguments.photos % BATCH:
        sys.exit(f"--photos: expected a multiple of {BATCH}, found {arguments.photos}")
    # In a process of its own, whose memory is gone when the measuring begins.
    subprocess.run([sys.executable, SCRIPT, *sys.argv[1:], "--prepare"], check=True)
    photos = CACHE / "photos.txt"
    photos.write_text("\n".join(choose_photos(arguments.folder, arguments.photos)))

    measured = {"cpu": cpu_description(), "processors": os.cpu_count(), "load": os.getloadavg()[0],
                "versions": {"python": sys.version.split()[0], **{name: version(name) for name in (
                    "gcvit-cpp", "numpy", "torch", "timm", "onnxruntime", "pillow")}}}
    measured["imports"] = measure_imports(2 * arguments.rounds)
    measured["sizes"] = {"gcvit_cpp": installed_size("gcvit-cpp"), "gcvit_cpp and numpy": installed_size("gcvit-cpp", "numpy"),
                         "onnxruntime": installed_size("onnxruntime"), "torch, timm": installed_size("torch", "timm")}
    measured["calls"] = measure_calls(arguments.worker, arguments.rounds) if arguments.worker.exists() else None
    measured["speeds"], measured["memory"] = measure_throughput(arguments.contenders, photos, arguments.threads, arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))
    report(measured)
    return None


if __name__ == "__main__":
    main()
