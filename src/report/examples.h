// SPDX-License-Identifier: Apache-2.0
// Photos that a report shows, with what a model said about them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "data/image_set.h"
#include "evaluate/labelled_logits.h"
#include "image/decode.h"
#include "image/preprocess.h"

namespace gcvit::report {

/// A labelled photo and the model's prediction.
struct Example {
  std::size_t image = 0;  ///< its place among the labelled photos
  std::int32_t label = 0;
  std::int32_t predicted = 0;
  double probability = 0.0;  ///< of `predicted`
  std::string name;          ///< within the data set: "roses/12.jpg"
  image::Image picture;      ///< a square thumbnail; empty when the photo could not be read again
  image::Image grad_cam;     ///< the thumbnail under Grad-CAM of `predicted`; empty when there is none

  bool right() const { return label == predicted; }
};

/// What logits say about a photo, without its name and picture; its probability is softmax(logits / temperature).
Example example_of(std::size_t image, std::int32_t label, std::span<const float> logits, double temperature);

/// Finds the misclassified photos of highest probability among any number, in memory for as many as are wanted.
class SurestMistakes {
 public:
  SurestMistakes(double temperature, std::size_t count) : temperature_(temperature), count_(count) {}

  void add(std::size_t image, std::int32_t label, std::span<const float> logits);
  /// The most confident mistake first; among equals the one that was added first.
  const std::vector<Example>& found() const { return found_; }

 private:
  double temperature_;
  std::size_t count_;
  std::vector<Example> found_;
};

/// The misclassified photos, the most confident mistake first, at most `count`.
std::vector<Example> surest_mistakes(const evaluate::LabelledLogits& images, double temperature, std::size_t count);

/// At most `count` of the numbers below `total`, sorted: the middle of each of `count` equal parts.
std::vector<std::size_t> spread_out(std::size_t total, std::size_t count);

/// At most `count` photos from all over the set, in its order.
std::vector<Example> samples_of(const evaluate::LabelledLogits& images, double temperature, std::size_t count);

/// The middle of a picture as a square of `side` pixels.
image::Image thumbnail(const image::Image& picture, std::int32_t side);
/// What that shows of the picture, in its pixels.
image::Area thumbnail_area(const image::Image& picture, std::int32_t side);

/// Draws on a photo's thumbnail, which shows `part` of it, why a model takes the photo for class `predicted`.
using Explain = std::function<image::Image(const image::Image& photo, std::int32_t predicted,
                                           const image::Image& thumbnail, const image::Area& part)>;

/// Reads the photos again for their names and thumbnails, and with `explain` for what it draws on these. `sample_of` gives the sample of a
/// photo's place. The pictures of one that can't be read or explained any more stay empty.
void add_pictures(std::vector<Example>& examples,
                  const std::function<const data::Sample&(std::size_t image)>& sample_of,
                  const image::DecodeOptions& decode, const Explain& explain = nullptr);

}  // namespace gcvit::report
