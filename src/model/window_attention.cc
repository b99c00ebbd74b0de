// SPDX-License-Identifier: Apache-2.0
#include "model/window_attention.h"

namespace gcvit::model {

WindowAttention::WindowAttention(std::int32_t channels, std::int32_t heads, ops::Window window, Query query)
    : qkv_(make_linear(channels, (query == Query::kLocal ? 3 : 2) * channels)),
      bias_table_(ops::Role::kBiasTable, {std::int64_t{2 * window.height - 1} * (2 * window.width - 1), heads}),
      proj_(make_linear(channels, channels)),
      heads_(heads),
      window_(window),
      query_(query) {}

ops::Value WindowAttention::forward(ops::Backend& backend, const ops::Value& x, const ops::LayerNorm& norm,
                                    const Parameter* gamma, float drop_path, const ops::Value& global_query) const {
  return backend.attention_sublayer(x, {.norm = norm,
                                        .qkv = qkv_,
                                        .bias_table = bias_table_,
                                        .proj = proj_,
                                        .heads = heads_,
                                        .window = window_,
                                        .global_query = query_ == Query::kGlobal ? &global_query : nullptr,
                                        .gamma = gamma,
                                        .drop_path = drop_path});
}

void WindowAttention::visit(const Visitor& visitor) {
  visitor(bias_table_);
  model::visit(qkv_, visitor);
  model::visit(proj_, visitor);
}

}  // namespace gcvit::model
