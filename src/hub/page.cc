// SPDX-License-Identifier: Apache-2.0
#include "hub/page.h"

#include <string_view>

#include "hub/record.h"
#include "base/file_kind.h"

namespace gcvit::hub {

std::string page_in_place_of_file(const std::string& path) {
  std::string kind = file_kind(read_small_file(path).value_or(""));
  for (const std::string_view page : {"an HTML page", "an XML document", "JSON", "a Git LFS pointer"}) {
    if (kind.starts_with(page)) return kind;
  }
  return "";
}

}  // namespace gcvit::hub
