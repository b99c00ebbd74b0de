// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/image_set.h"
#include "data/tar.h"

/// What image_set.cc and the file of each kind of source share; no other room's business. Each throws `Error` as
/// `open_image_set` says.
namespace gcvit::data {

/// Class folders, or folders of sides that have them.
ImageSet read_class_folders(const std::string& root, const OpenOptions& options = {});

/// A folder that is named after a side.
struct SideFolder {
  std::string name;
  Side side = Side::kTrain;
};
/// Folders beside each other with their sides, if all of them are named after one; else nothing.
std::optional<std::vector<SideFolder>> side_folders(const std::vector<std::string>& folders);
/// Throws `Error` when two folders of `root` are for one side.
void check_sides(const std::string& root, std::span<const SideFolder> sides);

/// A list in columns; `image_set_of_csv` has its text already.
ImageSet read_csv_list(const std::string& path, const OpenOptions& options = {});
ImageSet image_set_of_csv(std::string_view text, const std::string& path, const OpenOptions& options = {});

/// A file that holds many photos.
struct Shard {
  std::string file;
  std::string name;  ///< without folders, but with the one that says the side
  std::optional<Side> side = {};  ///< if its folder says it
};

/// Whether a file's name is a TFRecord shard's: "flowers.tfrecord", "flowers-train.tfrecord-00000-of-00002",
/// "00-224x224-460.tfrec", "train-00000-of-01024".
bool is_tfrecord_name(const std::string& name);
/// TFRecord shards of tf.Example, in their order; `root` stands for them in messages. `whole`: they were named
/// themselves, so that their names say no sides and none needs to be there.
ImageSet read_tfrecord_shards(const std::string& root, const std::vector<Shard>& shards, bool whole = true,
                              const OpenOptions& options = {});

/// WebDataset shards, likewise.
ImageSet read_tar_shards(const std::string& root, const std::vector<Shard>& shards, bool whole = true,
                         const OpenOptions& options = {});
/// "x-{0000..0003}.tar" as four names.
std::vector<std::string> expand_shard_names(const std::string& pattern);

/// What the members of a tar archive come to beside its photos.
struct TarRest {
  LeftOut unsafe{.reason = "members that are empty or lead out of the archive"};
  LeftOut lonely{.reason = "labels without a photo"};
  std::map<std::string, OtherFiles> others;
};
/// Adds the photos of one tar archive of `size` bytes and their labels; `shard` begins their names.
void read_tar_members(std::uint64_t size, const TarBytes& bytes, const std::string& file, const std::string& shard,
                      ImageSet& set, std::vector<std::string>& labels, TarRest& rest);

/// Sets the use of each of the set's sides. Throws `Error` when the side that is asked for isn't among them.
void choose_sides(ImageSet& set, const OpenOptions& options);
/// Notes that the photos of a side are left out.
void leave_out_side(ImageSet& set, const SideFound& side, const std::string& example);
bool any_validates(const ImageSet& set);

/// More outputs than any head has: an index that a source claims makes as many names.
inline constexpr std::int32_t kMaxClasses = 1'000'000;

/// Labels the samples of `set`, one text each, which are names of classes.
void label_samples(ImageSet& set, std::span<const std::string> labels);
/// Whether there are names and all of them are whole numbers.
bool all_numbers(std::span<const std::string> names);
/// Sorts `classes` and says whether all of them are numbers.
void sort_classes(ImageSet& set);
/// Throws `Error` when two class names differ by nothing but case and blanks.
void check_class_names(const ImageSet& set);

}  // namespace gcvit::data
