// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace gcvit::data {

/// A regular file in a tar archive; nothing is ever extracted.
struct TarMember {
  std::string path;  ///< as stored
  std::uint64_t offset = 0;  ///< where its bytes begin in the archive
  std::uint64_t size = 0;
};

/// Gives `size` bytes of the archive from `offset` on; they stay valid until the next call.
using TarBytes = std::function<std::span<const std::byte>(std::uint64_t offset, std::size_t size)>;

/// Calls `take` for every regular file of an archive of `size` bytes, in its order: ustar, pax (path and size) and
/// GNU's long names. Folders, links and devices are passed over. `name` stands for the archive in errors. Throws `Error`
/// for a header with a wrong checksum, a member that ends behind the archive, or names of over 64 KiB.
void read_tar(std::uint64_t size, const TarBytes& bytes, std::string_view name,
              const std::function<void(const TarMember&)>& take);

/// Whether a member's path stays below the archive's root: it is relative and has no "..".
bool is_inner_path(std::string_view path);

}  // namespace gcvit::data
