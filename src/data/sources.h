// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "data/photo_set.h"

/// What photo_set.cc and the file of each kind of source share; no other room's business. Each throws `Error` as
/// `open_photo_set` says.
namespace gcvit::data {

/// Class folders, or train/val folders of them.
PhotoSet read_class_folders(const std::string& root);

/// A CSV list; `photo_set_of_csv` has its text already.
PhotoSet read_csv_list(const std::string& path);
PhotoSet photo_set_of_csv(std::string_view text, const std::string& path);

/// Labels the samples of `set`, one text each: names, whose sorted order makes the classes; or, when all of them are
/// whole numbers, indices. Throws `Error` for an index that no head has.
void label_samples(PhotoSet& set, std::span<const std::string> labels);

}  // namespace gcvit::data
