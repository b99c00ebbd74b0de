// SPDX-License-Identifier: Apache-2.0
//   x + gamma * proj(softmax(q k^T / sqrt(D) + bias) v)        in each window, [q,] k, v = qkv(LN(x))
// H x W x C -> H x W x C. Local: q, k, v from the window itself. Global: k, v from the window, q the image's own global
// query. Head dim D = C / heads; qkv's outputs lie as [3 or 2][heads][D]. The bias of query (y, x) and key (v, u) is row
// (y-v + h-1) (2w-1) + (x-u + w-1) of the table. Paper: equation 3 and figure 4; NVlabs `WindowAttention[Global]`.
// The Keras example gathers this table flattened (one bias for all heads); weights made with it are rewritten on loading.
#pragma once

#include "model/parameters.h"
#include "ops/backend.h"

namespace gcvit::model {

class WindowAttention {
 public:
  enum class Query { kLocal, kGlobal };

  WindowAttention(std::int32_t channels, std::int32_t heads, ops::Window window, Query query);
  /// The normalisation before and the residual around belong to the block and are handed in, so that a backend can run
  /// them as one. `global_query` is used when this attention is global.
  ops::Value forward(ops::Backend& backend, const ops::Value& x, const ops::LayerNorm& norm, const Parameter* gamma,
                     float drop_path, const ops::Value& global_query) const;
  void visit(const Visitor& visitor);

 private:
  ops::Linear qkv_;
  Parameter bias_table_;
  ops::Linear proj_;
  std::int32_t heads_;
  ops::Window window_;
  Query query_;
};

}  // namespace gcvit::model
