// SPDX-License-Identifier: Apache-2.0
#include "terminal/tell.h"

namespace gcvit {

void tell(std::FILE* stream, std::string_view text) noexcept {
  (void)std::fwrite(text.data(), 1, text.size(), stream);
  (void)std::fflush(stream);
  std::clearerr(stream);  // a terminal that was full or away may be back for the next text
}

}  // namespace gcvit
