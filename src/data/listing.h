// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/left_out.h"

namespace gcvit::data {

/// The text with its ASCII letters in lower case.
std::string lower_case(std::string_view text);

/// The text without blanks (spaces, tabs, line ends) at its ends.
std::string_view trimmed(std::string_view text);

/// The extensions of photos: ".jpg", ...
std::vector<std::string> image_endings();

/// The same for sentences: "jpg, jpeg, jpe, jfif, png, webp".
inline constexpr std::string_view kImageKinds = "jpg, jpeg, jpe, jfif, png, webp";

/// True for hidden names, and for the metadata folder that macOS adds to archives.
inline bool is_passed_over(std::string_view name) { return name.starts_with('.') || name == "__MACOSX"; }

/// True for names with one of these extensions, in any case, that don't begin with a dot.
bool is_image_name(std::string_view name);

/// The ending of a file's name in lower case, with its dot; empty when it has none.
std::string ending_of(std::string_view name);

/// The contents of a folder and all folders below it.
struct Listing {
  std::vector<std::string> images;  ///< sorted paths relative to the folder ("a/b.jpg"; bytes are compared)
  std::map<std::string, OtherFiles> others;  ///< in folders below, by ending
  std::map<std::string, OtherFiles> beside;  ///< in the folder itself
  OtherFiles linked;  ///< links to folders that were already read under another name
};

/// Skips names that begin with a dot, and __MACOSX; follows links to folders, and reads each folder once. Throws `Error`
/// when the folder, or one below it, is missing, isn't a folder or isn't readable.
Listing list_below(const std::string& folder);

/// The names of the folders directly in `folder`, sorted; skips and throws as `list_below` does.
std::vector<std::string> folders_in(const std::string& folder);

/// The names of the files directly in `folder`, likewise.
std::vector<std::string> files_in(const std::string& folder);

/// The non-empty lines of a list, without carriage returns at their ends and a byte order mark before the first. The list may come through a pipe: `while_waiting` is called as `read_stream` does. Throws `Error` when it can't
/// be read, has a zero byte in it, or more than 16 Mi lines or 64 KiB in one.
std::vector<std::string> read_lines(const std::string& path, const std::function<void()>& while_waiting = [] {});

/// The same for a text in memory; `path` names it in errors.
std::vector<std::string> lines_of(std::string_view text, const std::string& path);

/// Expands the arguments of a command line, in their order: "@list" stands for the arguments in the file `list`, one per
/// line; a folder for the photos below it, sorted; "-" and everything else for itself. Throws `Error` for a folder without
/// photos, and for a list that can't be read or is empty. `notice` gets a sentence about files in folders that aren't photos.
std::vector<std::string> expand_image_arguments(
    const std::vector<std::string>& arguments,
    const std::function<void(const std::string& sentence)>& notice = [](const std::string&) {});

}  // namespace gcvit::data
