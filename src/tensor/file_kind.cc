// SPDX-License-Identifier: Apache-2.0
#include "tensor/file_kind.h"

#include <algorithm>
#include <array>

namespace gcvit {
namespace {

struct Kind {
  std::string_view begins;
  std::string_view name;
};

using namespace std::string_view_literals;

constexpr std::array<Kind, 9> kKinds = {
    {{"version https://git-lfs.github.com/spec/"sv, "a Git LFS pointer: fetch the real file (git lfs pull)"},
     {"\x1f\x8b"sv, "gzip data: unpack it first (gunzip)"},
     {"BZh"sv, "bzip2 data: unpack it first (bunzip2)"},
     {"\xfd"
      "7zXZ\0"sv,
      "xz data: unpack it first (unxz)"},
     {"\x28\xb5\x2f\xfd"sv, "zstd data: unpack it first (unzstd)"},
     {"PK\x03\x04"sv, "a ZIP archive: unpack it first (unzip)"},
     {"\xff\xfe"sv, "UTF-16 text: save it as UTF-8"},
     {"\xfe\xff"sv, "UTF-16 text: save it as UTF-8"},
     {"%PDF-"sv, "a PDF document"}}};

/// Whether `text` begins with `begins`, which is in lower case, whatever its own case and the blanks before it.
bool begins_with(std::string_view text, std::string_view begins) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  if (text.size() < begins.size()) return false;
  return std::equal(begins.begin(), begins.end(), text.begin(), [](char lower, char letter) {
    return lower == (letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter);
  });
}

}  // namespace

std::string_view file_kind(std::span<const std::byte> head) {
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  for (const Kind& kind : kKinds) {
    if (text.starts_with(kind.begins)) return kind.name;
  }
  for (const std::string_view begins : {"<!doctype html", "<html"}) {
    if (begins_with(text, begins)) return "an HTML page: download the file itself";
  }
  return {};
}

}  // namespace gcvit
