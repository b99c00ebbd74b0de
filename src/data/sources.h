// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/photo_set.h"
#include "data/tar.h"

/// What photo_set.cc and the file of each kind of source share; no other room's business. Each throws `Error` as
/// `open_photo_set` says.
namespace gcvit::data {

/// Class folders, or train/val folders of them.
PhotoSet read_class_folders(const std::string& root);

/// A CSV list; `photo_set_of_csv` has its text already.
PhotoSet read_csv_list(const std::string& path);
PhotoSet photo_set_of_csv(std::string_view text, const std::string& path);

/// Whether a file's name is a TFRecord shard's: "flowers.tfrecord", "flowers-train.tfrecord-00000-of-00002".
bool is_tfrecord_name(const std::string& name);
/// TFRecord shards of tf.Example, in the order of `files`; `root` stands for them in messages.
PhotoSet read_tfrecord_shards(const std::string& root, const std::vector<std::string>& files);

/// WebDataset shards, likewise.
PhotoSet read_tar_shards(const std::string& root, const std::vector<std::string>& files);
/// "x-{0000..0003}.tar" as four names.
std::vector<std::string> expand_shard_names(const std::string& pattern);
/// Adds the photos of one tar archive of `size` bytes and their labels; `shard` begins their names. `left_out` counts
/// members that are empty or whose paths lead out.
void read_tar_members(std::uint64_t size, const TarBytes& bytes, const std::string& file, const std::string& shard,
                      PhotoSet& set, std::vector<std::string>& labels, std::size_t& left_out);

/// More outputs than any head has: an index that a source claims makes as many names.
inline constexpr std::int32_t kMaxClasses = 1'000'000;

/// Labels the samples of `set`, one text each: names, whose sorted order makes the classes; or, when all of them are
/// whole numbers, indices. Throws `Error` for an index that no head has.
void label_samples(PhotoSet& set, std::span<const std::string> labels);

}  // namespace gcvit::data
