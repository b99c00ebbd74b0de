// SPDX-License-Identifier: Apache-2.0
// Labelled photos, wherever they lie: class folders, a CSV list, TFRecord or tar shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/left_out.h"
#include "data/sides.h"
#include "image/decode.h"

namespace gcvit::data {

/// No encoded photo may have more bytes.
inline constexpr std::uint64_t kMaxImageBytes = std::uint64_t{1} << 30;

/// A labelled photo, not read yet.
struct Sample {
  std::string name;  ///< within the set, for lists and messages: "roses/12.jpg", "flowers-00001.tar/12.jpg"
  std::int32_t label = 0;  ///< the class's index
  std::string file;  ///< the photo's file, or the shard that holds it
  std::uint64_t offset = 0;  ///< where the encoded photo begins in `file`
  std::uint64_t size = 0;  ///< its bytes; 0: the whole file
  /// The TFRecord record that holds it, whose checksum is compared when the photo is read; 0 bytes: there is none.
  std::uint64_t record_offset = 0;
  std::uint64_t record_size = 0;
};

enum class SourceKind : std::uint8_t { kFolders, kList, kTfrecord, kTar };

struct ImageSet {
  std::string root;  ///< as it was given
  std::vector<std::string> classes;  ///< the names that labels index
  std::vector<std::int32_t> present;  ///< the labels of the source's own classes, with photos or without
  std::vector<Sample> samples;  ///< by sorted name; of shards in their order
  /// One a sample when the source says which photos validate; else empty.
  std::vector<bool> validates;
  /// All classes are named by whole numbers: then `classes` is sorted by these, unless TensorFlow Datasets gave names.
  bool numbered = false;
  SourceKind kind = SourceKind::kFolders;
  std::vector<SideFound> sides;  ///< the source's, in its order; empty where it has none
  std::vector<LeftOut> left_out;
  std::vector<std::string> notices;  ///< other sentences for people about how the source was understood
};

struct OpenOptions {
  /// Only the photos of this side. Without, those that train and those that validate: never those of a test side.
  std::optional<Side> side = {};
  /// Photos of a test side validate, as in versions that knew no such side.
  bool test_validates = false;
};

/// Opens labelled photos; what they are is told by what is there:
/// - a folder with a sub-folder for each class. Photos in deeper folders count; those beside the class folders don't;
/// - a folder whose sub-folders are all named after sides ("train", "seg_val", "Test": `sides_of`) and have class folders
///   (or shards) in them: names begin with the side's folder ("train/roses/12.jpg");
/// - a CSV list (its name ends in .csv, or .tsv for tabs): path, label and perhaps a side a line, quotes as in RFC 4180;
///   the first line may be a header. Paths are relative to the list's folder.
/// - TFRecord shards of tf.Example: a folder with *.tfrecord-0000i-of-0000n as TensorFlow Datasets writes it, or with
///   *.tfrecord, *.tfrecords or *.tfrec; or one such file;
/// - WebDataset shards: a .tar, a folder of them, or names with a range in braces ("flowers-{0000..0007}.tar").
///   Shards that a folder holds are of sides where all their names say one. A file that is named itself is taken whole.
///
/// Where there are photos that validate, `validates` says which; where there are none, it is empty. Photos of a test side
/// are left out unless `options` ask for them. `sides` and `left_out` say what was found.
///
/// Classes are the set's own, sorted by name (bytes are compared; whole numbers by value), or as TensorFlow Datasets'
/// features list them. Throws `Error` when there is nothing to read, something can't be read, or it isn't what it should
/// be: two folders for one side, the side that was asked for isn't there, class names that differ by nothing but case
/// and blanks, "classes" that hold the same folders as sides do, a photo of two classes.
ImageSet open_image_set(const std::string& path, const OpenOptions& options = {});

/// Makes labels index `class_names`, the classes of a model. A class of the set is the one that has its name (case and
/// `_` for a space aside) or its WordNet id (`wordnet_ids`: one a class, or empty). Where all names of both are whole
/// numbers, these are compared by value. When none of the set's has one and all
/// are whole numbers, these are the indices, with a notice. With `by_index`, what can't be matched so is class i for the
/// set's i-th, with a notice.
///
/// Throws `Error` when something can't be matched: some classes match and one doesn't, one matches two, two match one,
/// numbers begin with 1 and end with the number of classes, or are too large; by index when there are more classes than
/// `class_names`.
void remap_labels(ImageSet& set, std::span<const std::string> class_names, std::span<const std::string> wordnet_ids,
                  bool by_index = false);

/// Makes each class of a numbered set the index that is its name, below `classes`, whose names become the digits. Throws
/// `Error` for one that isn't below.
void take_numbers_as_indices(ImageSet& set, std::size_t classes);

/// Keeps only the photos that `list_file` names, a sample's name a line; their order doesn't matter, nor does which of
/// them validate. Throws `Error` when it names a photo that isn't there, or none.
void restrict_to_list(ImageSet& set, const std::string& list_file);

/// The photos that `list_file` names validate and all others train, whatever the set says. Throws as `restrict_to_list`.
/// The list may come through a pipe, as `read_lines` says.
void validate_on_list(ImageSet& set, const std::string& list_file, const std::function<void()>& while_waiting = [] {});

/// Keeps only the photos that validate, where the set says which do, and leaves out the others; else changes nothing. Throws `Error`
/// where the set has sides of which none validates, and a test side was left out.
void restrict_to_validation(ImageSet& set);

/// The sample for messages: its file, and its name where the file holds more than it.
std::string describe(const Sample& sample);

/// How many bytes reading the photo takes: the encoded photo's own, or its record's; 0 when its file isn't there.
std::uint64_t size_of(const Sample& sample);

/// The encoded photo's bytes. Throws `Error` when they can't be read, aren't all there, are more than kMaxImageBytes, or
/// lie in a record with a wrong checksum.
std::vector<std::byte> read_sample(const Sample& sample);

/// The photo itself.
image::Image decode_sample(const Sample& sample, const image::DecodeOptions& options = {});

}  // namespace gcvit::data
