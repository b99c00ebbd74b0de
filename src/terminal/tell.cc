// SPDX-License-Identifier: Apache-2.0
#include "terminal/tell.h"

namespace gcvit {

void tell(std::FILE* stream, std::string_view text) noexcept {
  (void)std::fwrite(text.data(), 1, text.size(), stream);
  (void)std::fflush(stream);
  std::clearerr(stream);  // so that the next text is tried again
}

}  // namespace gcvit
