// SPDX-License-Identifier: Apache-2.0
// Labelled photos from class folders, a CSV list, TFRecord or tar shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/left_out.h"
#include "data/splits.h"
#include "image/decode.h"

namespace gcvit::data {

/// The most bytes that an encoded photo may have.
inline constexpr std::uint64_t kMaxImageBytes = std::uint64_t{1} << 30;

/// A labelled photo, not read yet.
struct Sample {
  std::string name;  ///< within the set, for lists and messages: "roses/12.jpg", "flowers-00001.tar/12.jpg"
  std::int32_t label = 0;  ///< the class's index
  std::string file;  ///< the photo's file, or the shard that holds it
  std::uint64_t offset = 0;  ///< byte at which the encoded photo begins in `file`
  std::uint64_t size = 0;  ///< its bytes; 0: the whole file
  /// The TFRecord record that holds it, whose checksum is verified when the photo is read; 0 bytes: there is none.
  std::uint64_t record_offset = 0;
  std::uint64_t record_size = 0;
};

enum class SourceKind : std::uint8_t { kFolders, kList, kTfrecord, kTar };

struct ImageSet {
  std::string root;  ///< as it was given
  std::vector<std::string> classes;  ///< the names that labels index
  std::vector<std::int32_t> present;  ///< the labels of the source's own classes, also of those without photos
  std::vector<Sample> samples;  ///< by sorted name; of shards in their order
  /// For each sample whether it is for validation, if the source says so; else empty.
  std::vector<bool> validates;
  /// All class names are whole numbers; `classes` is then sorted by value, unless TensorFlow Datasets gave names.
  bool numbered = false;
  SourceKind kind = SourceKind::kFolders;
  std::vector<FoundSplit> splits;  ///< the source's, in its order; empty if it has none
  std::vector<LeftOut> left_out;
  std::vector<std::string> notices;  ///< other sentences about how the source was read
};

struct OpenOptions {
  /// Use only the photos of this split. By default those of the train and validation splits, never of a test split.
  std::optional<Split> split = {};
  /// Use photos of a test split for validation, as versions without test splits did.
  bool test_validates = false;
};

/// Opens labelled photos. The kind of source is detected:
/// - a folder with a sub-folder for each class. Photos in deeper folders count; those next to the class folders don't;
/// - a folder whose sub-folders are all named after splits ("train", "seg_val", "Test": `splits_of`) and have class folders
///   (or shards) in them: names begin with the split's folder ("train/roses/12.jpg");
/// - a CSV list (its name ends in .csv, or .tsv for tabs): one photo per line with path, label and optionally split, as in RFC 4180;
///   the first line may be a header. Paths are relative to the list's folder.
/// - TFRecord shards of tf.Example: a folder with *.tfrecord-0000i-of-0000n as TensorFlow Datasets writes it, or with
///   *.tfrecord, *.tfrecords or *.tfrec; or one such file;
/// - WebDataset shards: a .tar, a folder of them, or names with a range in braces ("flowers-{0000..0007}.tar").
///   Shards in a folder belong to splits when all their names have one. A file that is named itself is used as a whole.
///
/// `validates` says which photos are for validation, and is empty if none are. Photos of a test split are left out unless
/// `options` select them. `splits` and `left_out` say what was found.
///
/// Classes are the set's own, sorted by name (bytes are compared; whole numbers by value), or as TensorFlow Datasets'
/// features list them. Throws `Error` when there is nothing to read, something can't be read, or it isn't what it should
/// be: two folders for one split, a selected split that isn't there, class names that differ only in case and blanks,
/// "classes" that contain the same folders as splits would, a photo of two classes.
ImageSet open_image_set(const std::string& path, const OpenOptions& options = {});

/// Remaps labels to index `class_names`, the classes of a model. A class of the set is matched by its name (ignoring case,
/// with `_` for a space) or its WordNet id (`wordnet_ids`: one for each class, or empty). If all names of both are whole
/// numbers, they are compared by value. If none of the set's names matches and all
/// are whole numbers, they are the indices, with a notice. With `by_index`, classes that can't be matched this way are matched
/// by their order, with a notice.
///
/// Throws `Error` when something can't be matched: some classes match and one doesn't, one matches two, two match one,
/// numbers begin with 1 and end with the number of classes, or are too large; by index when there are more classes than
/// `class_names`.
void remap_labels(ImageSet& set, std::span<const std::string> class_names, std::span<const std::string> wordnet_ids,
                  bool by_index = false);

/// Whether each class of the set has its name or its WordNet id among the model's, by the rule of `remap_labels`.
bool all_classes_known(const ImageSet& set, std::span<const std::string> class_names,
                       std::span<const std::string> wordnet_ids);

/// Makes each class of a numbered set the index that is its name, below `classes`, whose names become the digits. Throws
/// `Error` for one that isn't below.
void take_numbers_as_indices(ImageSet& set, std::size_t classes);

/// Keeps only the photos that `list_file` names, one sample name per line in any order, whether they are for validation or
/// not. Throws `Error` when it names a photo that isn't there, or none.
void restrict_to_list(ImageSet& set, const std::string& list_file);

/// Uses the photos that `list_file` names for validation and all others for training, whatever the set says. Throws as `restrict_to_list`.
/// The list may come through a pipe, as `read_lines` says.
void validate_on_list(ImageSet& set, const std::string& list_file, const std::function<void()>& while_waiting = [] {});

/// Keeps only the validation photos if the set has any marked, else changes nothing. Throws `Error` when the set has splits
/// but none for validation, and a test split was left out.
void restrict_to_validation(ImageSet& set);

/// Names the sample in messages: its file, and its name if the file holds more than one.
std::string describe(const Sample& sample);

/// Number of bytes that reading the photo takes: the encoded photo's, or its record's; 0 when its file is missing.
std::uint64_t size_of(const Sample& sample);

/// The encoded photo's bytes. Throws `Error` when they can't be read, aren't all there, are more than kMaxImageBytes, or
/// lie in a record with a wrong checksum.
std::vector<std::byte> read_sample(const Sample& sample);

/// The decoded photo.
image::Image decode_sample(const Sample& sample, const image::DecodeOptions& options = {});

}  // namespace gcvit::data
