// SPDX-License-Identifier: Apache-2.0
// Opening what a command line, a list or a folder names, whatever it turns out to be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gcvit {

/// A file descriptor that closes itself; -1 for none.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int number() const { return number_; }

 private:
  int number_;
};

struct RegularFile {
  Descriptor descriptor;
  std::uint64_t size = 0;  ///< when it was opened
};

/// True for what begins like "https://".
bool is_url(std::string_view name);
/// What a path names that doesn't exist, for a sentence: "nothing", or that it is a URL.
std::string_view found_instead(std::string_view missing);

/// Throws "[area] name: can't be read: ..." for an errno: a `ResourceError` where it says that file descriptors or memory
/// have run out, else an `Error`.
[[noreturn]] void fail_to_read(std::string_view area, std::string_view name, int error);

/// Opens a path for reading that must be a regular file, or a link to one, and never waits for it: a pipe, socket, device
/// or directory is refused and left untouched. Errors begin "[area] name: ", `name` being the path unless given.
RegularFile open_regular_file(const std::string& path, std::string_view area, std::string_view name = {});

/// Reads into `bytes` what such a file holds from `offset` on; how many bytes those were, fewer only at the file's end.
std::size_t read_at(const RegularFile& file, std::uint64_t offset, std::span<std::byte> bytes, std::string_view area,
                    std::string_view name);

/// All that such a file holds. Throws also when that is more than `most_bytes`, before it is read.
std::vector<std::byte> read_regular_file(const std::string& path, std::string_view area, std::uint64_t most_bytes,
                                         std::string_view name = {});

/// The same as text.
std::string read_regular_text(const std::string& path, std::string_view area, std::uint64_t most_bytes);

/// Hands out what such a file holds piece by piece.
void read_regular_pieces(const std::string& path, std::string_view area,
                         const std::function<void(std::string_view)>& take);

/// Reads a text that may come through a pipe as well, piece by piece to its end. `while_waiting` is called about five
/// times a second, and when a signal arrives, as long as nothing comes; what it throws ends the reading.
void read_stream(
    const std::string& path, std::string_view area, const std::function<void(std::string_view)>& take,
    const std::function<void()>& while_waiting = [] {});

}  // namespace gcvit
