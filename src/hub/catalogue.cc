// SPDX-License-Identifier: Apache-2.0
#include "hub/catalogue.h"

#include <fmt/format.h>

#include <algorithm>

namespace gcvit::hub {
namespace {

// Keras: releases of gcvit-tf; v1.1.6 holds what the Keras example loads, v1.1.1 what gcvit-tf 1.1.6 itself loads.
constexpr std::string_view kGcvitTf = "https://github.com/awsaf49/gcvit-tf/releases/download";
// timm: what timm 1.0.31 loads. By torch.hub's rule a file name ends in the first digits of the file's SHA-256.
constexpr std::string_view kTimm =
    "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights-morevit";
// NVlabs: the files that models/gc_vit.py of NVlabs/GCVit names.
constexpr std::string_view kNvlabs = "https://huggingface.co/nvidia/GCViT/resolve/main";

/// A variant's file at each producer; empty where there is none.
struct Row {
  std::string_view variant;
  std::string_view keras;
  std::string_view timm_sha256;
  std::string_view nvlabs;
};

constexpr Row kRows[] = {
    {"xxtiny", "v1.1.6/gcvitxxtiny.keras", "d1d86009", "gcvit_1k_xxtiny"},
    {"xtiny", "v1.1.1/gcvit_xtiny_weights.h5", "274b92b7", "gcvit_1k_xtiny"},
    {"tiny", "v1.1.1/gcvit_tiny_weights.h5", "ac783954", "gcvit_1k_tiny"},
    {"tiny2", "", "", "gcvit_1k_tiny2"},
    {"small", "v1.1.1/gcvit_small_weights.h5", "4e98afa2", "gcvit_1k_small"},
    {"small2", "", "", "gcvit_1k_small2"},
    {"base", "v1.1.1/gcvit_base_weights.h5", "f009139b", "gcvit_1k_base"},
    {"large", "v1.1.1/gcvit_large_weights.h5", "", "gcvit_1k_large"},
    {"large_384", "", "", "gcvit_21k_large_384"},
    {"large_512", "", "", "gcvit_21k_large_512"},
};

OfficialFile make_file(std::string_view variant, std::string_view producer, std::string url) {
  OfficialFile file;
  file.name = fmt::format("gcvit_{}.{}", variant, producer);
  file.file_name = url.substr(url.rfind('/') + 1);
  file.url = std::move(url);
  file.size = file.name == "gcvit_xxtiny.keras" ? 48'767'519 : 0;
  return file;
}

std::vector<OfficialFile> make_files() {
  std::vector<OfficialFile> files;
  for (const Row& row : kRows) {
    if (!row.keras.empty()) files.push_back(make_file(row.variant, "keras", fmt::format("{}/{}", kGcvitTf, row.keras)));
    if (!row.timm_sha256.empty()) {
      files.push_back(make_file(row.variant, "timm",
                                fmt::format("{}/gcvit_{}_224_nvidia-{}.pth", kTimm, row.variant, row.timm_sha256)));
      files.back().sha256 = row.timm_sha256;
    }
    files.push_back(make_file(row.variant, "nvlabs", fmt::format("{}/{}.pth.tar", kNvlabs, row.nvlabs)));
  }
  return files;
}

}  // namespace

const std::vector<OfficialFile>& official_files() {
  static const std::vector<OfficialFile> files = make_files();
  return files;
}

std::optional<OfficialFile> find_official(std::string_view name) {
  const auto find = [](std::string_view wanted) {
    return std::find_if(official_files().begin(), official_files().end(),
                        [&](const OfficialFile& file) { return file.name == wanted; });
  };
  auto found = find(name);
  if (found == official_files().end()) {
    found = find(name == "gcvit_xxtiny" ? "gcvit_xxtiny.keras" : fmt::format("{}.nvlabs", name));
  }
  if (found == official_files().end()) return std::nullopt;
  return *found;
}

}  // namespace gcvit::hub
