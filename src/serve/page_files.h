// SPDX-License-Identifier: Apache-2.0
// The page at "/", as it lies in web/page/, with its example photos: the build puts the files into the program (cmake/GcvitEmbed.cmake).
#pragma once

#include <span>
#include <string_view>

namespace gcvit::serve {

struct PageFile {
  std::string_view name;  ///< "index.html" is "/", another file "/page/NAME"
  std::string_view content_type;
  std::string_view bytes;
  std::string_view etag;  ///< with its quotes; another one for other bytes
};

std::span<const PageFile> page_files();

}  // namespace gcvit::serve
