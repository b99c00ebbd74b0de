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

/// Shared by image_set.cc and the readers of each kind of source, internal to this component. Each throws `Error` as
/// `open_image_set` says.
namespace gcvit::data {

/// Class folders, or split folders that contain class folders.
ImageSet read_class_folders(const std::string& root, const OpenOptions& options = {});

/// A folder named after a split.
struct SplitFolder {
  std::string name;
  Split split = Split::kTrain;
};
/// Sibling folders with their splits, if all of them are named after one; else nothing.
std::optional<std::vector<SplitFolder>> split_folders(const std::vector<std::string>& folders);
/// Throws `Error` when two folders of `root` are for one split.
void check_splits(const std::string& root, std::span<const SplitFolder> splits);

/// A list in columns; `image_set_of_csv` has its text already.
ImageSet read_csv_list(const std::string& path, const OpenOptions& options = {});
ImageSet image_set_of_csv(std::string_view text, const std::string& path, const OpenOptions& options = {});

/// A file that holds many photos.
struct Shard {
  std::string file;
  std::string name;  ///< without folders, except for the one that names the split
  std::optional<Split> split = {};  ///< if its folder names it
};

/// Whether a file's name is a TFRecord shard's: "flowers.tfrecord", "flowers-train.tfrecord-00000-of-00002",
/// "00-224x224-460.tfrec", "train-00000-of-01024".
bool is_tfrecord_name(const std::string& name);
/// Reads TFRecord shards of tf.Example, in their order; `root` names them in messages. With `whole`, the user named the
/// shards themselves, so that splits in their names are ignored.
ImageSet read_tfrecord_shards(const std::string& root, const std::vector<Shard>& shards, bool whole = true,
                              const OpenOptions& options = {});

/// The same for WebDataset shards.
ImageSet read_tar_shards(const std::string& root, const std::vector<Shard>& shards, bool whole = true,
                         const OpenOptions& options = {});
/// "x-{0000..0003}.tar" as four names.
std::vector<std::string> expand_shard_names(const std::string& pattern);

/// The members of tar archives that are not photos with labels.
struct OtherTarMembers {
  LeftOut unsafe{.reason = "members that are empty or lead out of the archive"};
  LeftOut lonely{.reason = "labels without a photo"};
  std::map<std::string, OtherFiles> others;
};
/// Adds the photos of one tar archive of `size` bytes and their labels; `shard` begins their names.
void read_tar_members(std::uint64_t size, const TarBytes& bytes, const std::string& file, const std::string& shard,
                      ImageSet& set, std::vector<std::string>& labels, OtherTarMembers& rest);

/// Sets the use of each of the set's splits. Throws `Error` when the selected split isn't among them.
void choose_splits(ImageSet& set, const OpenOptions& options);
/// Records that the photos of a split are left out.
void leave_out_split(ImageSet& set, const FoundSplit& split, const std::string& example);
bool any_validates(const ImageSet& set);

/// More outputs than any head has; bounds the class index that a source may claim.
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
