// SPDX-License-Identifier: Apache-2.0
#include "formats/model_folder.h"

#include <iterator>
#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/counted.h"
#include "base/error.h"
#include "base/open_file.h"
#include "formats/in_quotes.h"
#include "formats/sharded_safetensors.h"

namespace gcvit::formats {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNamesShown = 3;
constexpr std::size_t kMostEntries = 4096;  // of a folder are looked at

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

std::string config_beside(const fs::path& folder) {
  const fs::path config = folder / "config.json";
  return is_file(config) ? config.string() : "";
}

std::vector<std::string> names_in(const std::string& folder) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) fail_to_read("weights", folder, error.value());
  std::vector<std::string> names;
  while (entries != fs::directory_iterator() && names.size() < kMostEntries) {
    names.push_back(entries->path().filename().string());
    entries.increment(error);
    if (error) fail_to_read("weights", folder, error.value());
  }
  std::ranges::sort(names);
  return names;
}

/// What a folder is that holds other things; empty when nothing is known of it.
std::string_view kind_of(const std::vector<std::string>& names) {
  const auto has = [&](std::string_view name) { return std::ranges::binary_search(names, name); };
  if (has("saved_model.pb"))
    return "a TensorFlow SavedModel; save the weights with model.save_weights(\"x.weights.h5\")";
  if (has("pytorch_model.bin.index.json")) return "PyTorch's shards; save them again as .safetensors";
  if (has(".metadata") && std::ranges::any_of(names, [](const auto& name) { return name.ends_with(".distcp"); })) {
    return "PyTorch's distributed checkpoint; save one file with torch.save";
  }
  if (has("_METADATA") || has("_CHECKPOINT_METADATA")) return "an Orbax checkpoint; save the weights as .npz";
  if (has("variables") && has("assets")) return "a TensorFlow SavedModel without its saved_model.pb";
  return "";
}

bool are_digits(std::string_view text) { return text.size() == 5 && text.find_first_not_of("0123456789") == text.npos; }

/// The index beside a file that by its name is one of several shards; empty for others.
std::string index_of_shard(const fs::path& file) {
  constexpr std::string_view kKeras = ".weights.h5";             // x_00000.weights.h5
  constexpr std::string_view kSafetensors = ".safetensors";      // x-00001-of-00002.safetensors
  constexpr std::string_view kOf = "-00000-of-00000";
  const std::string name = file.filename().string();
  fs::path index;
  if (name.ends_with(kKeras) && name.size() > kKeras.size() + 6) {
    const std::string stem = name.substr(0, name.size() - kKeras.size());
    if (!are_digits(std::string_view(stem).substr(stem.size() - 5)) || stem[stem.size() - 6] != '_') return "";
    const std::string base = stem.substr(0, stem.size() - 6);
    if (is_file(file.parent_path() / (base + "_00001.weights.h5"))) index = base + kKerasShardIndex;
  } else if (name.ends_with(kSafetensors) && name.size() > kSafetensors.size() + kOf.size()) {
    const std::size_t begin = name.size() - kSafetensors.size() - kOf.size();
    const std::string_view number = std::string_view(name).substr(begin, kOf.size());
    if (number[0] != '-' || number.substr(6, 4) != "-of-" || !are_digits(number.substr(1, 5)) ||
        !are_digits(number.substr(10)) || number.substr(10) == "00001") {
      return "";
    }
    index = name.substr(0, begin) + ".safetensors.index.json";
  }
  if (index.empty() || !is_file(file.parent_path() / index)) return "";
  return index.string();
}

}  // namespace

ModelPlace find_model_file(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    if (const std::string index = index_of_shard(path); !index.empty()) {
      fail("[weights] {}: expected a whole model, found one of several shards: name {} instead", path,
           in_quotes(index));
    }
    return {path, config_beside(fs::path(path).parent_path()), false};
  }
  const fs::path folder(path);
  const auto place = [&](const std::string& name) {
    return ModelPlace{(folder / name).string(), config_beside(folder), true};
  };
  for (const char* name : {kShardIndexName, "model.safetensors", "pytorch_model.bin", "model.weights.h5"}) {
    if (is_file(folder / name)) return place(name);
  }
  if (is_file(folder / "best.safetensors")) {
    ModelPlace best = place("best.safetensors");
    best.notices.push_back(fmt::format("{}: a run's folder: its best.safetensors is used", path));
    return best;
  }
  if (is_file(folder / "last.safetensors")) {
    ModelPlace last = place("last.safetensors");
    last.notices.push_back(
        fmt::format("{}: a run's folder without a best.safetensors: its last.safetensors is used", path));
    return last;
  }
  const std::vector<std::string> names = names_in(path);
  std::vector<std::string> indices;
  std::ranges::copy_if(names, std::back_inserter(indices),
                       [](const auto& name) { return name.ends_with(kKerasShardIndex); });
  if (indices.size() == 1) return place(indices.front());
  if (const std::string_view kind = kind_of(names); !kind.empty()) {
    fail("[weights] {}: expected a model, found {}", path, kind);
  }
  std::string found =
      names.empty() ? "an empty folder" : "a folder of " + counted(names.size(), "entry", "entries") + ", as ";
  for (std::size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) {
    found += (i > 0 ? ", " : "") + in_quotes(names[i]);
  }
  fail(
      "[weights] {}: expected a model's file, or a folder with model.safetensors, pytorch_model.bin, model.weights.h5 "
      "or "
      "best.safetensors, found {}",
      path, found);
}

}  // namespace gcvit::formats
