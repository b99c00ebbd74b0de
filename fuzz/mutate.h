// SPDX-License-Identifier: Apache-2.0
// Mutations that know a format: they take an input apart, change one thing in it, and put it together with the right
// lengths and checksums, so that the change reaches what lies behind the first check. An input that can't be taken
// apart, and now and then any, is changed by libFuzzer's own mutations, which know the target's dictionary.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace gcvit::fuzz {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  /// From 0 to count - 1; `count` is not 0.
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(engine_()) % count; }
  bool one_in(std::size_t count) { return below(count) == 0; }
  template <typename Item>
  Item& of(std::vector<Item>& items) {
    return items[below(items.size())];
  }
  template <typename Item, std::size_t count>
  const Item& of(const Item (&items)[count]) {
    return items[below(count)];
  }

 private:
  std::mt19937 engine_;
};

/// By libFuzzer's own mutations, to at most `most` bytes.
void mutate_bytes(std::string& bytes, std::size_t most);

/// A number that programs get wrong: near 0, a power of two, the largest of its width.
std::int64_t telling_number(Random& random);

/// Erases, moves, copies or repeats a piece of a list: bytes, instructions, entries. It stays below `most` items.
template <typename List>
void rearrange(List& list, std::size_t most, Random& random) {
  if (list.empty()) return;
  const std::size_t begin = random.below(list.size());
  const std::size_t count = 1 + random.below(std::min<std::size_t>(list.size() - begin, random.one_in(4) ? 64 : 4));
  const auto first = list.begin() + static_cast<std::ptrdiff_t>(begin);
  const List piece(first, first + static_cast<std::ptrdiff_t>(count));
  const std::size_t kind = random.below(4);
  if (kind <= 1) list.erase(first, first + static_cast<std::ptrdiff_t>(count));
  if (kind == 0) return;
  const std::size_t times = kind == 3 ? std::size_t{1} << random.below(13) : 1;
  List pieces;
  for (std::size_t i = 0; i < times && list.size() + pieces.size() + count <= most; ++i) {
    pieces.insert(pieces.end(), piece.begin(), piece.end());
  }
  const auto place = list.begin() + static_cast<std::ptrdiff_t>(random.below(list.size() + 1));
  list.insert(kind == 3 ? list.begin() + static_cast<std::ptrdiff_t>(begin) : place, pieces.begin(), pieces.end());
}

/// A JSON text: its values, or its text.
void mutate_json(std::string& text, std::size_t most, Random& random);

/// So many pickles, one behind the other; what follows them is left alone. Instructions are rearranged, and change with
/// their lengths right.
void mutate_pickle(std::string& text, std::size_t pickles, std::size_t most, Random& random);

/// A message of Protocol Buffers.
void mutate_protobuf(std::string& message, std::size_t most, Random& random);

}  // namespace gcvit::fuzz
