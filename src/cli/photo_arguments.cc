// SPDX-License-Identifier: Apache-2.0
#include "cli/photo_arguments.h"

#include <algorithm>
#include <cstdio>
#include <span>

#include "cli/arguments.h"
#include "cli/output.h"
#include "data/listing.h"
#include "tensor/error.h"

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

PhotoArguments::PhotoArguments(const std::vector<std::string>& arguments) {
  const std::vector<std::string> names =
      data::expand_photo_arguments(arguments, [](const std::string& sentence) { notice(sentence); });
  const auto on_stdin = std::count(names.begin(), names.end(), "-");
  if (on_stdin > 1) throw UsageError("\"-\", the photo on standard input, can stand once only");
  if (on_stdin == 1) stdin_bytes_ = read_stdin();
  photos_.reserve(names.size());
  for (const std::string& name : names) {
    photos_.push_back(name == "-" ? Photo::encoded(stdin_bytes_, "-") : Photo::file(name));
  }
}

void add_photo_list(CLI::App& app, std::vector<std::string>& photos) {
  app.add_option(
         "photos", photos,
         "Photos (jpg, png, webp), folders of them, - for one on standard input, @LIST for a file with a path a line")
      ->required()
      ->type_name("IMAGE");
}

}  // namespace gcvit::cli
