// SPDX-License-Identifier: Apache-2.0
#include "explain/occlusion.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "explain/heat_map.h"
#include "explain/score.h"
#include "inference/model_state.h"

namespace gcvit::explain {
namespace {

/// The size of the largest cells that begin and end wherever a patch does.
std::int32_t cell_of(std::int32_t side, std::int32_t patch, const std::vector<std::int32_t>& starts) {
  std::int32_t cell = std::gcd(side, patch);
  for (const std::int32_t start : starts) cell = std::gcd(cell, start);
  return cell;
}

}  // namespace

std::vector<std::int32_t> patch_starts(std::int32_t side, std::int32_t patch, std::int32_t stride) {
  std::vector<std::int32_t> starts;
  for (std::int32_t start = 0; start + patch < side; start += stride) starts.push_back(start);
  starts.push_back(side - patch);
  return starts;
}

Explanation occlusion_map(Session& session, std::span<const float> tensor, const OcclusionOptions& options) {
  const Model& model = session.model();
  const std::int32_t height = model.image_height();
  const std::int32_t width = model.image_width();
  const std::int32_t shorter = std::min(height, width);
  const std::int32_t patch = options.patch == 0 ? (shorter + 3) / 7 : options.patch;
  if (patch < 1 || patch > shorter) {
    fail("[explain] {}: patch: expected 1 to {} pixels, found {}", model.file(), shorter, options.patch);
  }
  const std::int32_t stride = options.stride == 0 ? std::max(patch / 2, 1) : options.stride;
  if (stride < 1 || stride > patch) {
    fail("[explain] {}: stride: expected 1 to {} pixels, the patch's side, found {}", model.file(), patch,
         options.stride);
  }
  if (options.batch < 1 || options.batch > inference::kMaximalBatch) {
    fail("[explain] batch: expected 1 to {} inputs, found {}", inference::kMaximalBatch, options.batch);
  }
  const std::vector<std::int32_t> rows = patch_starts(height, patch, stride);
  const std::vector<std::int32_t> columns = patch_starts(width, patch, stride);
  const std::size_t patches = rows.size() * columns.size();
  const auto corner = [&](std::size_t index) {
    return std::pair(rows[index / columns.size()], columns[index % columns.size()]);
  };

  const std::vector<float> whole = session.logits(tensor, {.batch = 1, .stop = options.stop});
  const std::int32_t target = target_class(model, options.target, whole);
  const float score = score_of(model, options.score, target, whole);

  std::vector<double> drops;
  drops.reserve(patches);
  const std::size_t classes = whole.size();
  std::vector<float> inputs;
  for (std::size_t first = 0; first < patches;) {
    const std::size_t count = std::min(static_cast<std::size_t>(options.batch), patches - first);
    inputs.clear();
    for (std::size_t i = 0; i < count; ++i) {
      inputs.insert(inputs.end(), tensor.begin(), tensor.end());
      const auto [top, left] = corner(first + i);
      for (std::int32_t y = top; y < top + patch; ++y) {
        // Normalising makes zeros of the mean colour.
        const auto at = static_cast<std::ptrdiff_t>(i * tensor.size()) + (std::ptrdiff_t{y} * width + left) * 3;
        std::fill_n(inputs.begin() + at, 3 * patch, 0.0f);
      }
    }
    const std::vector<float> logits = session.logits(inputs, {.batch = options.batch, .stop = options.stop});
    for (std::size_t i = 0; i < count; ++i) {
      const std::span<const float> one = std::span(logits).subspan(i * classes, classes);
      drops.push_back(static_cast<double>(score) - score_of(model, options.score, target, one));
    }
    first += count;
    if (options.progress) options.progress(first, patches);
  }

  const std::int32_t cell_height = cell_of(height, patch, rows);
  const std::int32_t cell_width = cell_of(width, patch, columns);
  Explanation result{.method = ExplainMethod::kOcclusion,
                     .index = target,
                     .label = model.labels()[static_cast<std::size_t>(target)],
                     .of = options.score,
                     .score = score};
  result.map = {height / cell_height, width / cell_width, {}};
  const auto cells = static_cast<std::size_t>(result.map.height) * static_cast<std::size_t>(result.map.width);
  std::vector<double> sums(cells);
  std::vector<std::int32_t> covers(cells);
  for (std::size_t index = 0; index < patches; ++index) {
    const auto [top, left] = corner(index);
    for (std::int32_t y = top / cell_height; y < (top + patch) / cell_height; ++y) {
      for (std::int32_t x = left / cell_width; x < (left + patch) / cell_width; ++x) {
        const auto at = static_cast<std::size_t>(y * result.map.width + x);
        sums[at] += drops[index];
        ++covers[at];
      }
    }
  }
  for (std::size_t at = 0; at < cells; ++at) result.map.values.push_back(static_cast<float>(sums[at] / covers[at]));
  set_range(result);
  return result;
}

}  // namespace gcvit::explain
