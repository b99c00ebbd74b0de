// SPDX-License-Identifier: Apache-2.0
#include "data/listing.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <system_error>

#include "data/left_out.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "base/line_cutter.h"
#include "base/open_file.h"

namespace gcvit::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 6> kEndings = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"};

/// The contents of a folder, unsorted, without names that begin with a dot.
std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (status.type() == fs::file_type::not_found) {
    fail(ErrorCode::kNotFound, "[data] {}: expected a folder, found {}", folder.string(),
         found_instead(folder.string()));
  }
  if (error) fail("[data] {}: can't be read: {}", folder.string(), error.message());
  if (!fs::is_directory(status)) fail("[data] {}: expected a folder, found a file", folder.string());
  std::vector<fs::directory_entry> entries;
  fs::directory_iterator iterator(folder, error);
  for (; !error && iterator != fs::directory_iterator(); iterator.increment(error)) {
    if (!is_passed_over(iterator->path().filename().native())) entries.push_back(*iterator);
  }
  if (error) fail("[data] {}: can't be read: {}", folder.string(), error.message());
  return entries;
}

bool is_folder(const fs::directory_entry& entry) {
  std::error_code error;
  return entry.is_directory(error);
}

/// Adds the contents of `folder`; `prefix` is its path from the root, with a slash behind it. `seen` holds the real
/// paths of the folders read so far, so that links can't lead in circles.
void collect(const fs::path& folder, const std::string& prefix, std::set<std::string>& seen, Listing& listing) {
  std::error_code error;
  const fs::path real = fs::canonical(folder, error);
  if (!error && !seen.insert(real.string()).second) {
    if (listing.linked.count++ == 0) listing.linked.example = prefix.substr(0, prefix.size() - 1);
    return;
  }
  std::vector<fs::directory_entry> entries = entries_of(folder);
  std::sort(entries.begin(), entries.end());
  for (const fs::directory_entry& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (is_folder(entry)) {
      collect(entry.path(), prefix + name + "/", seen, listing);
    } else if (is_image_name(name)) {
      listing.images.push_back(prefix + name);
    } else {
      OtherFiles& others = (prefix.empty() ? listing.beside : listing.others)[ending_of(name)];
      if (others.count++ == 0) others.example = prefix + name;
    }
  }
}

using Notice = std::function<void(const std::string& sentence)>;

void expand(const std::string& argument, std::vector<std::string>& images, const Notice& notice) {
  std::error_code error;
  if (argument == "-" || !fs::is_directory(argument, error)) {
    images.push_back(argument);
    return;
  }
  Listing found = list_below(argument);
  for (const auto& [ending, files] : found.beside) {
    OtherFiles& others = found.others[ending];
    if (others.count == 0 || files.example < others.example) others.example = files.example;
    others.count += files.count;
  }
  const std::vector<LeftOut> left_out = other_kinds(found.others);
  const std::string others = left_out.empty() ? "" : describe(left_out.front());
  if (found.images.empty()) {
    fail("[data] {}: expected photos ({}) in the folder, found {}", argument, kImageKinds,
         others.empty() ? "none" : others);
  }
  const std::string folder = argument.ends_with('/') ? argument : argument + "/";
  for (const std::string& image : found.images) images.push_back(folder + image);
  if (!others.empty()) notice(fmt::format("[data] {}: left out: {}", argument, others));
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& letter : lower) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return lower;
}

bool is_image_name(std::string_view name) {
  const std::string lower = lower_case(name);
  return !lower.starts_with('.') && std::any_of(kEndings.begin(), kEndings.end(),
                                                [&](std::string_view ending) { return lower.ends_with(ending); });
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n\v\f";
  const std::size_t first = text.find_first_not_of(kBlanks);
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::vector<std::string> image_endings() { return {kEndings.begin(), kEndings.end()}; }

std::string ending_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? "" : lower_case(name.substr(dot));
}

Listing list_below(const std::string& folder) {
  Listing listing;
  std::set<std::string> seen;
  collect(folder, "", seen, listing);
  std::sort(listing.images.begin(), listing.images.end());
  return listing;
}

namespace {

std::vector<std::string> names_in(const std::string& folder, bool folders) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : entries_of(folder)) {
    if (is_folder(entry) == folders) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::vector<std::string> folders_in(const std::string& folder) { return names_in(folder, true); }

std::vector<std::string> files_in(const std::string& folder) { return names_in(folder, false); }

namespace {

constexpr std::size_t kLongestLine = std::size_t{1} << 16;
constexpr std::size_t kMostLines = std::size_t{1} << 24;  // more than ImageNet-21k has photos

LineCutter line_collector(const std::string& path, std::vector<std::string>& lines) {
  return {"data", path, kLongestLine, [&](const std::string& line, std::size_t number) {
            if (number > kMostLines)
              fail("[data] {}: expected a list of at most {} lines, found more", path, kMostLines);
            const std::string kind = number == 1 ? placeholder_or_packed_kind(line) : "";
            if (!kind.empty()) fail("[data] {}: expected a list, found {}", path, kind);
            if (!line.empty()) lines.push_back(line);
          }};
}

}  // namespace

std::vector<std::string> read_lines(const std::string& path, const std::function<void()>& while_waiting) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    fail(ErrorCode::kNotFound, "[data] {}: expected a list of photos, found {}", path, found_instead(path));
  }
  if (fs::is_directory(status)) fail("[data] {}: expected a list of photos, found a folder", path);
  std::vector<std::string> lines;
  LineCutter cutter = line_collector(path, lines);
  read_stream(path, "data", [&](std::string_view piece) { cutter.add(piece); }, while_waiting);
  cutter.finish();
  return lines;
}

std::vector<std::string> lines_of(std::string_view text, const std::string& path) {
  std::vector<std::string> lines;
  LineCutter cutter = line_collector(path, lines);
  cutter.add(text);
  cutter.finish();
  return lines;
}

std::vector<std::string> expand_image_arguments(const std::vector<std::string>& arguments, const Notice& notice) {
  std::vector<std::string> images;
  for (const std::string& argument : arguments) {
    if (!argument.starts_with('@')) {
      expand(argument, images, notice);
      continue;
    }
    const std::vector<std::string> lines = read_lines(argument.substr(1));
    if (lines.empty()) fail("[data] {}: expected a path a line, found none", argument.substr(1));
    for (const std::string& line : lines) expand(line, images, notice);
  }
  return images;
}

}  // namespace gcvit::data
