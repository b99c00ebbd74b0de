// SPDX-License-Identifier: Apache-2.0
#include "report/html.h"

#include <openssl/evp.h>

#include "base/error.h"
#include "base/printable.h"

namespace gcvit::report {

std::string escaped(std::string_view text) {
  std::string result;
  for (const char letter : printable(text)) {
    switch (letter) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      case '\'': result += "&#39;"; break;
      default: result += letter;
    }
  }
  return result;
}

std::string data_uri(std::string_view type, std::string_view bytes) {
  if (bytes.size() > std::size_t{1} << 30) fail("[report] expected at most 1 GiB for a page, found {}", bytes.size());
  std::string base64(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // EVP_EncodeBlock writes a zero behind
  const int written =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(base64.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  base64.resize(static_cast<std::size_t>(written));
  return fmt::format("data:{};base64,{}", type, base64);
}

}  // namespace gcvit::report
