// SPDX-License-Identifier: Apache-2.0
#include "cli/image_arguments.h"

#include <algorithm>
#include <cstdio>
#include <span>

#include "cli/arguments.h"
#include "cli/output.h"
#include "data/listing.h"
#include "base/error.h"

namespace gcvit::cli {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 30;
constexpr std::size_t kPart = std::size_t{1} << 16;

std::vector<std::byte> read_stdin() {
  std::vector<std::byte> bytes;
  while (true) {
    const std::size_t before = bytes.size();
    bytes.resize(before + kPart);
    const std::size_t got = std::fread(bytes.data() + before, 1, kPart, stdin);
    bytes.resize(before + got);
    if (bytes.size() > kMostBytes) fail("[image] standard input: expected at most {} bytes", kMostBytes);
    if (got < kPart) break;
  }
  if (std::ferror(stdin) != 0) fail("[image] standard input: can't be read");
  return bytes;
}

}  // namespace

ImageArguments::ImageArguments(const std::vector<std::string>& arguments) {
  const std::vector<std::string> names =
      data::expand_image_arguments(arguments, [](const std::string& sentence) { notice(sentence); });
  const auto on_stdin = std::count(names.begin(), names.end(), "-");
  if (on_stdin > 1) throw UsageError("\"-\", the photo on standard input, can stand once only");
  if (on_stdin == 1) stdin_bytes_ = read_stdin();
  images_.reserve(names.size());
  for (const std::string& name : names) {
    images_.push_back(name == "-" ? Image::encoded(stdin_bytes_, "-") : Image::file(name));
  }
}

void add_image_list(CLI::App& app, std::vector<std::string>& images) {
  app.add_option("photos", images,
                 "Photos (JPEG, PNG, WebP), folders of photos, - for a photo on standard input, @LIST for a file with "
                 "one path per line")
      ->required()
      ->type_name("IMAGE");
}

}  // namespace gcvit::cli
