// SPDX-License-Identifier: Apache-2.0
#include "formats/permute.h"

#include <utility>
#include <vector>

#include "base/error.h"
#include "formats/strided_copy.h"

namespace gcvit::formats {

Tensor permuted(const Tensor& tensor, std::initializer_list<std::size_t> order) {
  const Dims& dims = tensor.dims();
  const std::size_t rank = dims.size();
  std::vector<bool> seen(rank, false);
  bool valid = order.size() == rank;
  for (const std::size_t axis : order) {
    valid = valid && axis < rank && !seen[axis];
    if (valid) seen[axis] = true;
  }
  if (!valid) fail("[permute] expected an order of {} axes, found {{{}}}", rank, fmt::join(order, ", "));

  Dims permuted_dims;
  for (const std::size_t axis : order) permuted_dims.push_back(dims[axis]);
  if (tensor.size() == 0) return Tensor(tensor.dtype(), std::move(permuted_dims));  // its strides may overflow
  Dims strides(rank, 1);
  for (std::size_t i = rank; i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  Dims permuted_strides;
  for (const std::size_t axis : order) permuted_strides.push_back(strides[axis]);
  return copy_strided(tensor.dtype(), std::move(permuted_dims), permuted_strides, tensor.bytes());
}

}  // namespace gcvit::formats
