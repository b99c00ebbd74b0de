// SPDX-License-Identifier: Apache-2.0
#include "explain/attention.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "explain/heat_map.h"
#include "inference/model_state.h"
#include "model/gcvit.h"
#include "ops/forwarding_backend.h"

namespace gcvit::explain {
namespace {

/// Queries and keys of one window and head, and the head's bias.
class HeadScores {
 public:
  HeadScores(const BlockWindows& windows, std::span<const float> qkv, std::span<const float> global_query,
             std::span<const float> bias)
      : windows_(windows), qkv_(qkv), global_query_(global_query), bias_(bias) {
    const auto tokens = static_cast<std::size_t>(windows.window.tokens());
    keys_.resize(static_cast<std::size_t>(head_dim()) * tokens);
    scores_.resize(tokens);
  }

  void choose(std::int32_t window, std::int32_t head) {
    window_ = window;
    head_ = head;
    const std::int32_t tokens = windows_.window.tokens();
    for (std::int32_t token = 0; token < tokens; ++token) {
      const float* key = position(token) + (global_query_.empty() ? channels() : 0) + head * head_dim();
      for (std::int32_t d = 0; d < head_dim(); ++d) keys_[index(d) * index(tokens) + index(token)] = key[d];
    }
  }

  /// softmax over the keys for one query.
  std::span<const float> row(std::int32_t query) {
    const std::int32_t tokens = windows_.window.tokens();
    const float* q =
        (global_query_.empty() ? position(query) : global_query_.data() + query * channels()) + head_ * head_dim();
    const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim()));
    std::ranges::fill(scores_, 0.0f);
    for (std::int32_t d = 0; d < head_dim(); ++d) {
      const float* keys = keys_.data() + index(d) * index(tokens);
      for (std::int32_t token = 0; token < tokens; ++token) scores_[index(token)] += q[d] * keys[token];
    }
    for (std::int32_t token = 0; token < tokens; ++token) {
      scores_[index(token)] = scores_[index(token)] * scale + bias_of(query, token);
    }
    const float largest = *std::ranges::max_element(scores_);
    double sum = 0.0;
    for (float& score : scores_) {
      score = std::exp(score - largest);
      sum += score;
    }
    for (float& score : scores_) score = static_cast<float>(score / sum);
    return scores_;
  }

 private:
  static std::size_t index(std::int32_t value) { return static_cast<std::size_t>(value); }
  std::int32_t channels() const { return windows_.map.channels; }
  std::int32_t head_dim() const { return channels() / windows_.heads; }

  /// Where the window's token has its parts of qkv.
  const float* position(std::int32_t token) const {
    const ops::Window window = windows_.window;
    const std::int64_t y = window_ / windows_.across * window.height + token / window.width;
    const std::int64_t x = window_ % windows_.across * window.width + token % window.width;
    const std::int64_t parts = global_query_.empty() ? 3 : 2;
    return qkv_.data() + (y * windows_.across * window.width + x) * parts * channels();
  }

  float bias_of(std::int32_t query, std::int32_t key) const {
    const ops::Window window = windows_.window;
    const std::int32_t down = query / window.width - key / window.width + window.height - 1;
    const std::int32_t across = query % window.width - key % window.width + window.width - 1;
    return bias_[index((down * (2 * window.width - 1) + across) * windows_.heads + head_)];
  }

  const BlockWindows& windows_;
  std::span<const float> qkv_;
  std::span<const float> global_query_;  ///< empty for local attention
  std::span<const float> bias_;  ///< [table][heads]
  std::int32_t window_ = 0;
  std::int32_t head_ = 0;
  std::vector<float> keys_;  ///< [head dim][tokens]
  std::vector<float> scores_;  ///< [tokens]
};

/// Hands a forward on, and shows what one of its attention sub-layers, counted over the whole model, computes with.
class AttentionWatch final : public ops::ForwardingBackend {
 public:
  using Show =
      std::function<void(const ops::Shape& map, const ops::Value& qkv, const ops::AttentionSublayer& sublayer)>;
  AttentionWatch(ops::Backend& inner, std::int32_t watched, Show show)
      : ForwardingBackend(inner), watched_(watched), show_(std::move(show)) {}

  ops::Value attention_sublayer(const ops::Value& x, const ops::AttentionSublayer& sublayer) override {
    if (next_++ != watched_) return inner().attention_sublayer(x, sublayer);
    map_ = x.shape();
    shown_ = &sublayer;
    ops::Value result = ForwardingBackend::attention_sublayer(x, sublayer);
    shown_ = nullptr;
    return result;
  }
  ops::Value mlp_sublayer(const ops::Value& x, const ops::MlpSublayer& sublayer) override {
    return inner().mlp_sublayer(x, sublayer);
  }
  ops::Value window_attention(const ops::Value& qkv, const ops::Value* global_query, const ops::Parameter& bias_table,
                              std::int32_t heads, ops::Window window) override {
    if (shown_ != nullptr) show_(map_, qkv, *shown_);
    return inner().window_attention(qkv, global_query, bias_table, heads, window);
  }

 private:
  std::int32_t watched_;
  Show show_;
  std::int32_t next_ = 0;
  ops::Shape map_;
  const ops::AttentionSublayer* shown_ = nullptr;
};

void check(const Model& model, const AttentionOptions& options, std::int32_t block) {
  const model::GCViTConfig& config = model.state().config();
  const auto level = static_cast<std::size_t>(options.level - 1);
  if (block < 0 || block >= config.depths[level]) {
    fail("[explain] {}: block: expected 0 to {} in level {}, found {}", model.file(), config.depths[level] - 1,
         options.level, block);
  }
  if (options.head && (*options.head < 0 || *options.head >= config.heads[level])) {
    fail("[explain] {}: head: expected 0 to {} in level {}, found {}", model.file(), config.heads[level] - 1,
         options.level, *options.head);
  }
  if (!options.query) return;
  const bool global = block % 2 == 1;
  const ops::Window cells = global ? config.windows[level] : config.map(options.level - 1);
  const MapCell query = *options.query;
  if (query.row < 0 || query.row >= cells.height || query.column < 0 || query.column >= cells.width) {
    fail("[explain] {}: query: expected a row of 0 to {} and a column of 0 to {} in {}, found {}, {}", model.file(),
         cells.height - 1, cells.width - 1, global ? "the global query" : "the level's map", query.row, query.column);
  }
}

std::int32_t default_block(const model::GCViTConfig& config, std::int32_t level) {
  const std::int32_t last = config.depths[static_cast<std::size_t>(level - 1)] - 1;
  return last % 2 == 1 || last == 0 ? last : last - 1;
}

}  // namespace

AttentionOptions resolved(const Model& model, AttentionOptions options) {
  if (!options.block) options.block = default_block(model.state().config(), options.level);
  check(model, options, *options.block);
  return options;
}

void attention_rows(const Model& model, ops::Executor& executor, ThreadPool& pool, std::span<const float> tensor,
                    std::int32_t level, std::int32_t block, const std::stop_token& stop, const AttentionRow& take) {
  const model::GCViT& network = *model.state().model;
  const model::GCViTConfig& config = network.config();
  const auto show = [&](const ops::Shape& map, const ops::Value& qkv, const ops::AttentionSublayer& sublayer) {
    const ops::Window window = sublayer.window;
    const BlockWindows windows{map, qkv.shape().height / window.height, qkv.shape().width / window.width, window,
                               sublayer.heads};
    const ops::Parameter& table = sublayer.bias_table;
    const Tensor bias = table.tensor.empty() ? model.state().packed->unpack(table) : table.tensor;
    const std::span<const float> query =
        sublayer.global_query == nullptr ? std::span<const float>() : executor.read(*sublayer.global_query);
    const std::span<const float> parts = executor.read(qkv);
    pool.parallel_for(windows.down * windows.across, [&](std::int64_t index, int) {
      if (stop.stop_requested()) return;
      const auto at = static_cast<std::int32_t>(index);
      HeadScores scores(windows, parts, query, bias.values());
      for (std::int32_t head = 0; head < windows.heads; ++head) {
        scores.choose(at, head);
        for (std::int32_t q = 0; q < window.tokens(); ++q) take(windows, at, head, q, scores.row(q));
      }
    });
  };
  const auto check_stop = [&] {
    if (stop.stop_requested()) fail(ErrorCode::kCancelled, "[explain] the explanation was cancelled");
  };
  struct Unhook {
    ops::Executor& executor;
    ~Unhook() { executor.set_tap_hook({}); }
  } unhook{executor};
  executor.set_tap_hook([&](std::string_view, const ops::Value&) { check_stop(); });
  const std::int32_t watched = std::accumulate(config.depths.begin(), config.depths.begin() + level - 1, block);
  AttentionWatch watch(executor, watched, show);
  executor.start(1);
  network.forward(watch, executor.input({config.image_height, config.image_width, 3}, tensor));
  check_stop();
}

Explanation attention_map(const Model& model, ops::Executor& executor, ThreadPool& pool, std::span<const float> tensor,
                          const AttentionOptions& wanted) {
  const model::GCViTConfig& config = model.state().config();
  const AttentionOptions options = resolved(model, wanted);
  const std::int32_t block = *options.block;
  const auto level = static_cast<std::size_t>(options.level - 1);
  const ops::Window map = config.map(options.level - 1);
  const ops::Window window = config.windows[level];
  const bool global = block % 2 == 1;
  const std::int32_t across = (map.width + window.width - 1) / window.width;
  // The one query that is asked for, and the one window that it belongs to; -1 for all.
  std::int32_t only_query = -1;
  std::int32_t only_window = -1;
  if (options.query) {
    const MapCell at = *options.query;
    only_query = at.row % window.height * window.width + at.column % window.width;
    if (!global) only_window = at.row / window.height * across + at.column / window.width;
  }
  const double heads = options.head ? 1.0 : config.heads[level];
  const double queries = only_query >= 0 ? 1.0 : window.tokens();
  std::vector<double> sums(static_cast<std::size_t>(map.height) * static_cast<std::size_t>(map.width));
  attention_rows(model, executor, pool, tensor, options.level, block, options.stop,
                 [&](const BlockWindows& windows, std::int32_t at, std::int32_t head, std::int32_t query,
                     std::span<const float> keys) {
                   if (options.head && head != *options.head) return;
                   if (only_query >= 0 && query != only_query) return;
                   if (only_window >= 0 && at != only_window) return;
                   for (std::int32_t token = 0; token < window.tokens(); ++token) {
                     const std::int32_t y = at / windows.across * window.height + token / window.width;
                     const std::int32_t x = at % windows.across * window.width + token % window.width;
                     if (y >= map.height || x >= map.width) continue;  // padding
                     sums[static_cast<std::size_t>(y * map.width + x)] += keys[static_cast<std::size_t>(token)];
                   }
                 });
  Explanation result{.method = ExplainMethod::kAttention, .level = options.level};
  result.map = {map.height, map.width, {}};
  for (const double sum : sums) result.map.values.push_back(static_cast<float>(sum / (heads * queries)));
  set_range(result);
  return result;
}

}  // namespace gcvit::explain
