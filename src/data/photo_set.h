// SPDX-License-Identifier: Apache-2.0
// Labelled photos, wherever they lie: class folders, a CSV list, TFRecord or tar shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "image/decode.h"

namespace gcvit::data {

/// No encoded photo may have more bytes.
inline constexpr std::uint64_t kMaxPhotoBytes = std::uint64_t{1} << 30;

/// A labelled photo, not read yet.
struct Sample {
  std::string name;  ///< within the set, for lists and messages: "roses/12.jpg", "flowers-00001.tar/12.jpg"
  std::int32_t label = 0;  ///< the class's index
  std::string file;  ///< the photo's file, or the shard that holds it
  std::uint64_t offset = 0;  ///< where the encoded photo begins in `file`
  std::uint64_t size = 0;  ///< its bytes; 0: the whole file
};

struct PhotoSet {
  std::string root;  ///< as it was given
  std::vector<std::string> classes;  ///< the names that labels index
  std::vector<std::int32_t> present;  ///< the labels of the source's own classes, with photos or without
  std::vector<Sample> samples;  ///< by sorted name; of shards in their order
  /// One a sample when the source says which photos validate; else empty.
  std::vector<bool> validates;
  /// The source gives indices and no names: `classes` holds their digits.
  bool numbered = false;
  std::vector<std::string> notices;  ///< sentences for people about how the source was understood
};

/// Opens labelled photos; what they are is told by what is there:
/// - a folder with a sub-folder for each class. Photos in deeper folders count; those beside the class folders don't,
///   with a notice;
/// - a folder whose sub-folders are `train` and `val`, `validation`, `valid` or `test`, each with class folders: names
///   begin with the side ("train/roses/12.jpg") and `validates` is set;
/// - a CSV list (its name ends in .csv): path, label and perhaps "train" or "val" a line, quotes as in RFC 4180; the
///   first line may be a header. Paths are relative to the list's folder; labels are names, or all of them indices.
/// - TFRecord shards as TensorFlow Datasets writes them: a folder with *.tfrecord-0000i-of-0000n, or one such file;
/// - WebDataset shards: a .tar, a folder of them, or names with a range in braces ("flowers-{0000..0007}.tar").
///
/// Classes are the set's own, sorted by name (bytes are compared), or as TensorFlow Datasets' features list them.
/// Throws `Error` when there is nothing to read, something can't be read, or it isn't what it should be.
PhotoSet open_photo_set(const std::string& path);

/// Makes labels index `class_names`, the classes of a model. A class of the set is the one that has its name (case and
/// `_` for a space aside) or its WordNet id (`wordnet_ids`: one a class, or empty). When none of them has one, class i
/// is taken for class i, with a notice; so it is, without a notice, in a numbered set.
///
/// Throws `Error` when some classes match and one doesn't, when one matches two, or when there are more of them than
/// `class_names`.
void adopt_classes(PhotoSet& set, std::span<const std::string> class_names, std::span<const std::string> wordnet_ids);

/// Keeps only the photos that `list_file` names, a sample's name a line; their order doesn't matter. Throws `Error` when
/// it names a photo that isn't there, or none.
void restrict_to_list(PhotoSet& set, const std::string& list_file);

/// The photos that `list_file` names validate and all others train, whatever the set says. Throws as `restrict_to_list`.
/// The list may come through a pipe, as `read_lines` says.
void validate_on_list(PhotoSet& set, const std::string& list_file, const std::function<void()>& while_waiting = [] {});

/// Keeps only the photos that validate, with a notice, where the set says which do; else changes nothing.
void restrict_to_validation(PhotoSet& set);

/// The sample for messages: its file, and its name where the file holds more than it.
std::string describe(const Sample& sample);

/// The encoded photo's size in bytes; 0 when its file isn't there.
std::uint64_t size_of(const Sample& sample);

/// The encoded photo's bytes. Throws `Error` when they can't be read, aren't all there, or are more than
/// kMaxPhotoBytes.
std::vector<std::byte> read_sample(const Sample& sample);

/// The photo itself.
image::Image decode_sample(const Sample& sample, const image::DecodeOptions& options = {});

}  // namespace gcvit::data
