// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/csv.h"

namespace gcvit::data {

/// The columns' places in a record.
struct Columns {
  std::size_t path = 0;
  std::size_t label = 1;
  std::size_t split = 2;  ///< past the end when there is none
  bool header = false;   ///< the first record names them
  bool validates = false;  ///< the split column says true or false: whether a photo is for validation
  bool split_if_words = false;  ///< the split column counts only if it names splits: "stage" may mean something else
};

using IsImage = std::function<bool(const std::string& field)>;

/// Where a list of photos has its columns. Its first line is a header when none of its fields names a photo, and it has
/// known words or another line has a field that names one. A header may have its columns in any order and others between
/// them. `is_image` says whether a field is the path of a photo, `is_id` whether it is one without its ending, which may
/// take longer to tell. Throws `Error` for a header of which the path or the label isn't known; `name` stands for the
/// list.
Columns columns_of(const std::vector<CsvRecord>& records, std::string_view name, const IsImage& is_image,
                   const IsImage& is_id);

}  // namespace gcvit::data
