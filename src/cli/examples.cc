// SPDX-License-Identifier: Apache-2.0
#include "cli/examples.h"

#include <array>

#include "base/build_options.h"

namespace gcvit::cli {
namespace {

struct Row {
  std::string_view command;
  const char* line;
  const char* what;
  bool built = true;
};

constexpr std::array kRows = {
    Row{"", "gcvit classify photo.jpg", "what a photo shows, by the bundled flower model"},
    Row{"", "gcvit train photos -m gcvit_xxtiny -o runs/mine", "a model for your own classes",
        kWithTraining&& kWithHub},
    Row{"classify", "gcvit classify photo.jpg folder", "the bundled flower model on a photo and a folder of photos"},
    Row{"classify", "gcvit classify -m model.safetensors --json --threshold 0.9 photo.jpg",
        "JSON, with \"unsure\" where the best class has less than 90 %"},
    Row{"train", "gcvit train photos -m model.safetensors -o runs/mine", "fine-tune on photos/CLASS/*.jpg"},
    Row{"train", "gcvit train photos -o runs/mine --resume", "continue a stopped run"},
    Row{"eval", "gcvit eval -m model.safetensors photos", "accuracy on photos/CLASS/*.jpg"},
    Row{"eval", "gcvit eval -m runs/mine photos --list runs/mine/val.txt",
        "the best model of a run, on the photos it was validated on"},
    Row{"explain", "gcvit explain photo.jpg -o why.png", "what spoke for the most probable class, on the photo"},
    Row{"explain", "gcvit explain photo.jpg -o why.png --class roses --class tulips",
        "what spoke for each of two classes, side by side"},
    Row{"explain", "gcvit explain photos -o why --method attention --level 3",
        "where the third level looks, in a folder of pictures"},
    Row{"features", "gcvit features photos -o photos.npz",
        "a vector a photo, for other programs and for gcvit similar"},
    Row{"features", "gcvit features -m model.safetensors --level 4 photo.jpg -o maps.npy",
        "the last level's feature map, [1,H,W,C]"},
    Row{"similar", "gcvit similar photos.npz photo.jpg", "the five photos of the index that are most alike to it"},
    Row{"info", "gcvit info model.safetensors", "the configuration and layers of a file"},
    Row{"info", "gcvit info --variant xxtiny", "the same of a published architecture, without a file"},
    Row{"forward", "gcvit forward x.npy -m model.safetensors -o out.npz",
        "logits and feature maps of prepared tensors"},
    Row{"preprocess", "gcvit preprocess -m model.safetensors photo.jpg -o x.npy", "the tensor that the model gets"},
    Row{"preprocess", "gcvit preprocess --preprocess timm --image-size 224 photo.jpg -o x.npy",
        "the same without a model file"},
    Row{"bench", "gcvit bench -m model.safetensors --batch 1,8 -t 1,2",
        "four rows: two batch sizes on one thread and two"},
    Row{"convert", "gcvit convert model.pth model.safetensors", "one file that describes itself"},
    Row{"convert", "gcvit convert model.safetensors model.pth --layout timm", "for load_state_dict of timm's model"},
    Row{"quantize", "gcvit quantize model.safetensors small.safetensors --dtype int8", "a third of the bytes"},
    Row{"quantize", "gcvit quantize model.safetensors small.safetensors --dtype int8 --calibrate photos",
        "the same, and how many answers on photos/CLASS/*.jpg stay the same"},
    Row{"export", "gcvit export model.safetensors model.onnx", "a graph for ONNX Runtime or OpenVINO"},
    Row{"serve", "gcvit serve -m model.safetensors --port 8080", "answers POST /v1/classify on this machine alone"},
    Row{"serve", "gcvit serve -m day=a.safetensors -m night=b.safetensors --host 0.0.0.0 --api-key-file keys",
        "two models, for everyone who has a key"},
    Row{"pull", "gcvit pull gcvit_xxtiny", "afterwards -m gcvit_xxtiny opens it"},
    Row{"pull", "gcvit pull --list", "all official weight files"},
    Row{"help", "gcvit help classify", "the flags of classify"},
    Row{"completion", "gcvit completion bash > ~/.local/share/bash-completion/completions/gcvit",
        "for bash, from the next shell on"},
    Row{"man", "gcvit man train | man -l -", "the page of train"},
};

}  // namespace

std::vector<Example> examples_of(std::string_view command) {
  std::vector<Example> examples;
  for (const Row& row : kRows) {
    if (row.command == command && row.built) examples.push_back({row.line, row.what});
  }
  return examples;
}

}  // namespace gcvit::cli
