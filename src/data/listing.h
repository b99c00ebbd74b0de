// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::data {

/// The text with its ASCII letters in lower case.
std::string lower_case(std::string_view text);

/// True for names that end in .jpg, .jpeg, .png or .webp, in whatever case, and don't begin with a dot.
bool is_photo_name(std::string_view name);

/// The photos in `folder` and all folders below, as sorted paths relative to it ("a/b.jpg"; bytes are compared). Names
/// that begin with a dot are left out; links to folders are followed, each folder is read once. Throws `Error` when the
/// folder, or one below it, is missing, no folder or not readable.
std::vector<std::string> photos_below(const std::string& folder);

/// The folders right below `folder`, sorted names, without those that begin with a dot. Throws like `photos_below`.
std::vector<std::string> folders_in(const std::string& folder);

/// The files right below `folder`, likewise.
std::vector<std::string> files_in(const std::string& folder);

/// The lines of a list that aren't empty; a carriage return at the end is dropped, as is a byte order mark before the
/// first. The list may come through a pipe: `while_waiting` is called as `read_stream` does. Throws `Error` when it can't
/// be read, has a zero byte in it, or more than 16 Mi lines or 64 KiB in one.
std::vector<std::string> read_lines(const std::string& path, const std::function<void()>& while_waiting = [] {});

/// The same of a text that has been read; `path` names it in errors.
std::vector<std::string> lines_of(std::string_view text, const std::string& path);

/// What a command line names, flat and in its order: "@list" stands for the arguments that `list` has, one a line; a
/// folder for the photos below it, sorted; "-" and everything else for itself. Throws `Error` for a folder without
/// photos, and for a list that can't be read or names none.
std::vector<std::string> expand_photo_arguments(const std::vector<std::string>& arguments);

}  // namespace gcvit::data
