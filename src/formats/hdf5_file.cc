// SPDX-License-Identifier: Apache-2.0
#include "formats/hdf5_file.h"

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <unordered_set>

#include "base/counted.h"
#include "base/error.h"
#include "formats/hdf5_messages.h"
#include "formats/in_quotes.h"

namespace gcvit::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are viewed as they lie in the file");

using hdf5::Cursor;
using hdf5::kNowhere;
using hdf5::MessageType;

constexpr std::string_view kSignature{"\x89HDF\r\n\x1a\n", 8};
constexpr int kDeepestGroup = 32;
constexpr int kDeepestKept = 6;  // of the groups whose names are kept
constexpr std::size_t kMostGroups = 4096;  // are kept
constexpr int kDeepestTree = 16;
constexpr std::size_t kLongestPath = 256;
constexpr std::size_t kMostHeapObjects = std::size_t{1} << 18;
constexpr std::size_t kMostMessages = 4096;  // of an object

struct Message {
  MessageType type;
  std::uint8_t flags;
  std::span<const std::byte> bytes;
};

/// What an object header says; a group has links, a dataset values.
struct Object {
  std::vector<Message> messages;

  const Message* find(MessageType type) const {
    const auto found = std::ranges::find(messages, type, &Message::type);
    return found == messages.end() ? nullptr : &*found;
  }
};

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& file)
      : bytes_(bytes),
        owner_(std::move(owner)),
        file_(file),
        structures_left_(bytes.size()),
        values_left_(bytes.size()) {}

  RawFile run() {
    const std::uint64_t root = read_superblock();
    read_object(root, "", 0);
    RawFile raw{.format = "hdf5", .tensors = std::move(tensors_), .metadata = {}};
    raw.groups = std::move(groups_);
    raw.keras_config = config_;
    return raw;
  }

 private:
  std::string place(const std::string& path) const { return path.empty() ? file_ + ": /" : file_ + ": " + path; }

  /// Structures of the file lie side by side: more bytes of them than the file has would mean a circle.
  std::span<const std::byte> structure(std::uint64_t address, std::uint64_t size, const std::string& place,
                                       std::string_view what) {
    if (address > bytes_.size() || size > bytes_.size() - address) {
      fail("[hdf5] {}: {} at byte {}: expected {}, the file has {}", place, what, address, counted(size, "byte"),
           bytes_.size());
    }
    spend(structures_left_, size, place);
    return bytes_.subspan(static_cast<std::size_t>(address), static_cast<std::size_t>(size));
  }

  static void spend(std::uint64_t& left, std::uint64_t size, const std::string& place) {
    if (size > left) fail("[hdf5] {}: parts of the file overlap", place);
    left -= size;
  }

  /// The root group's object header.
  std::uint64_t read_superblock() {
    const std::string place = file_ + ": superblock";
    Cursor cursor(bytes_, place);
    cursor.expect(kSignature);
    const std::uint8_t version = cursor.u8();
    if (version > 3) fail("[hdf5] {}: expected version 0 to 3, found {}", place, version);
    const bool old = version < 2;
    if (old) cursor.skip(4);
    const std::uint8_t offset_size = cursor.u8();
    const std::uint8_t length_size = cursor.u8();
    if (offset_size != 8 || length_size != 8) {
      fail("[hdf5] {}: expected offsets and lengths of 8 bytes, found {} and {}", place, offset_size, length_size);
    }
    cursor.skip(1);
    if (old) cursor.skip(version == 0 ? 8 : 12);
    const std::uint64_t base = cursor.u64();
    if (base != 0) fail("[hdf5] {}: expected the file to begin at byte 0, found {}", place, base);
    cursor.skip(8);
    const std::uint64_t end = cursor.u64();
    if (end > bytes_.size()) fail("[hdf5] {}: cut short: ends at byte {}, file has {}", place, end, bytes_.size());
    if (old) cursor.skip(16);  // driver information, the root's name
    return cursor.u64();
  }

  void read_object(std::uint64_t address, const std::string& path, int depth) {
    if (!seen_.insert(address).second) fail("[hdf5] {}: the same object as under another name", place(path));
    const Object object = read_header(address, path);
    if (object.find(MessageType::kDataspace) != nullptr && object.find(MessageType::kLayout) != nullptr) {
      read_dataset(object, path);
      return;
    }
    if (depth >= kDeepestGroup) fail("[hdf5] {}: groups deeper than {}", place(path), kDeepestGroup);
    if (depth == 0) config_ = keras_config(object);
    if (depth > 0 && depth <= kDeepestKept && groups_.size() < kMostGroups) groups_.push_back(path);
    for (const Message& message : object.messages) read_links(message, path, depth);
  }

  Object read_header(std::uint64_t address, const std::string& path) {
    const std::string where = place(path);
    Object object;
    const bool version2 = address <= bytes_.size() && bytes_.size() - address >= 4 &&
                          Cursor(bytes_.subspan(static_cast<std::size_t>(address)), where).text(4) == "OHDR";
    std::vector<std::span<const std::byte>> pieces;
    std::size_t prefix = 0;  // of a message
    if (version2) {
      Cursor cursor(structure(address, 6, where, "object header"), where);
      cursor.skip(4);
      const std::uint8_t version = cursor.u8();
      if (version != 2) fail("[hdf5] {}: object header: expected version 2, found {}", where, version);
      const std::uint8_t flags = cursor.u8();
      const std::uint64_t times = (flags & 0x20u) != 0 ? 16 : 0;
      const std::uint64_t limits = (flags & 0x10u) != 0 ? 4 : 0;
      const std::size_t width = std::size_t{1} << (flags & 3u);
      Cursor rest(structure(address + 6, times + limits + width, where, "object header"), where);
      rest.skip(times + limits);
      pieces.push_back(structure(address + 6 + times + limits + width, rest.number(width), where, "object header"));
      prefix = (flags & 4u) != 0 ? 6 : 4;
    } else {
      Cursor cursor(structure(address, 16, where, "object header"), where);
      const std::uint8_t version = cursor.u8();
      if (version != 1) fail("[hdf5] {}: object header: expected version 1 or 2, found {}", where, version);
      cursor.skip(7);
      pieces.push_back(structure(address + 16, cursor.u32(), where, "object header"));
    }
    for (std::size_t piece = 0; piece < pieces.size(); ++piece) {
      Cursor cursor(pieces[piece], where);
      while (cursor.left() >= (version2 ? prefix : 8)) {
        Message message{};
        message.type = static_cast<MessageType>(version2 ? cursor.u8() : cursor.u16());
        const std::uint16_t size = cursor.u16();
        message.flags = cursor.u8();
        cursor.skip(version2 ? prefix - 4 : 3);
        message.bytes = cursor.take(size);
        if (message.type == MessageType::kContinuation) {
          pieces.push_back(read_continuation(message, where, version2));
        } else {
          if (object.messages.size() >= kMostMessages) fail("[hdf5] {}: over {} messages", where, kMostMessages);
          object.messages.push_back(message);
        }
      }
    }
    return object;
  }

  std::span<const std::byte> read_continuation(const Message& message, const std::string& where, bool version2) {
    Cursor cursor(message.bytes, where);
    const std::uint64_t address = cursor.u64();
    const std::span<const std::byte> bytes = structure(address, cursor.u64(), where, "object header continuation");
    if (!version2) return bytes;
    constexpr std::uint64_t kChecksum = 4;
    Cursor block(bytes, where);
    block.expect("OCHK");
    if (block.left() < kChecksum) fail("[hdf5] {}: object header continuation: no room for its checksum", where);
    return block.take(block.left() - kChecksum);
  }

  void read_links(const Message& message, const std::string& path, int depth) {
    const std::string where = place(path);
    Cursor cursor(message.bytes, where);
    if (message.type == MessageType::kLink) {
      const hdf5::Link link = hdf5::read_link(cursor);
      follow(link.name, link.address, path, depth);
    } else if (message.type == MessageType::kSymbolTable) {
      const std::uint64_t tree = cursor.u64();
      const std::uint64_t heap = cursor.u64();
      read_tree(tree, read_local_heap(heap, where), path, where, depth, 0);
    } else if (message.type == MessageType::kLinkInfo) {
      cursor.skip(1);
      if ((cursor.u8() & 1u) != 0) cursor.skip(8);
      if (cursor.u64() != kNowhere) {
        fail(
            "[hdf5] {}: expected a symbol table or few links, found links in a heap, as files for HDF5 1.8 and later "
            "have them: save again with h5py's libver=\"earliest\", which Keras uses",
            where);
      }
    }
  }

  void follow(std::string_view name, std::uint64_t address, const std::string& path, int depth) {
    if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos || name.find('\0') != name.npos) {
      fail("[hdf5] {}: {} can't be a name", place(path), in_quotes(name));
    }
    if (path.size() + 1 + name.size() > kLongestPath) {
      fail("[hdf5] {}: {} makes a path longer than {}", place(path), in_quotes(name), kLongestPath);
    }
    const std::string below = path.empty() ? std::string(name) : path + "/" + std::string(name);
    read_object(address, below, depth + 1);
  }

  std::span<const std::byte> read_local_heap(std::uint64_t address, const std::string& where) {
    Cursor cursor(structure(address, 32, where, "local heap"), where);
    cursor.expect("HEAP");
    cursor.skip(4);
    const std::uint64_t size = cursor.u64();
    cursor.skip(8);
    return structure(cursor.u64(), size, where, "local heap");
  }

  /// A group's B-tree: nodes of nodes, then of symbol table nodes.
  void read_tree(std::uint64_t address, std::span<const std::byte> heap, const std::string& path,
                 const std::string& where, int depth, int tree_depth) {
    if (tree_depth > kDeepestTree) fail("[hdf5] {}: a tree deeper than {}", where, kDeepestTree);
    Cursor head(structure(address, 24, where, "tree node"), where);
    head.expect("TREE");
    constexpr std::uint8_t kGroups = 0;
    if (const std::uint8_t type = head.u8(); type != kGroups) {
      fail("[hdf5] {}: expected a group's tree, found type {}", where, type);
    }
    const std::uint8_t level = head.u8();
    const std::uint64_t entries = head.u16();
    Cursor cursor(structure(address + 24, 16 * entries, where, "tree node"), where);
    for (std::uint64_t entry = 0; entry < entries; ++entry) {
      cursor.skip(8);  // the key: the names below are not smaller
      const std::uint64_t child = cursor.u64();
      if (level > 0) {
        read_tree(child, heap, path, where, depth, tree_depth + 1);
      } else {
        read_symbols(child, heap, path, where, depth);
      }
    }
  }

  void read_symbols(std::uint64_t address, std::span<const std::byte> heap, const std::string& path,
                    const std::string& where, int depth) {
    Cursor head(structure(address, 8, where, "symbol table node"), where);
    head.expect("SNOD");
    head.skip(2);
    const std::uint64_t symbols = head.u16();
    Cursor cursor(structure(address + 8, 40 * symbols, where, "symbol table node"), where);
    for (std::uint64_t symbol = 0; symbol < symbols; ++symbol) {
      const std::uint64_t offset = cursor.u64();
      const std::uint64_t object = cursor.u64();
      const std::uint32_t cache = cursor.u32();
      cursor.skip(20);
      if (offset > heap.size()) fail("[hdf5] {}: a name at byte {} of a heap of {}", where, offset, heap.size());
      const std::span<const std::byte> tail = heap.subspan(static_cast<std::size_t>(offset));
      const std::string_view text(reinterpret_cast<const char*>(tail.data()), std::min(tail.size(), kLongestPath));
      const std::size_t length = text.find('\0');
      if (length == text.npos) fail("[hdf5] {}: a name without an end, or longer than {}", where, kLongestPath);
      const std::string_view name = text.substr(0, length);
      constexpr std::uint32_t kSoftLink = 2;
      if (cache == kSoftLink) fail("[hdf5] {}: {} is a soft link: links are not followed", where, in_quotes(name));
      follow(name, object, path, depth);
    }
  }

  void read_dataset(const Object& object, const std::string& path) {
    const std::string where = place(path);
    const auto body = [&](MessageType type, std::string_view what) {
      const Message* const message = object.find(type);
      if (message == nullptr) fail("[hdf5] {}: a dataset without {}", where, what);
      constexpr std::uint8_t kShared = 2;
      if ((message->flags & kShared) != 0) fail("[hdf5] {}: {} that stands elsewhere is not read", where, what);
      return Cursor(message->bytes, where);
    };
    const hdf5::Datatype datatype = hdf5::read_datatype(body(MessageType::kDatatype, "a type"));
    std::optional<DType> dtype = datatype.dtype;
    if (datatype.opaque16 && text_attribute(object, "dtype", where) == "bfloat16") dtype = DType::kBF16;
    if (!dtype) return;
    if (object.find(MessageType::kExternalFiles) != nullptr) {
      fail("[hdf5] {}: values in another file (external storage) are not followed", where);
    }
    Dims dims = hdf5::read_dataspace(body(MessageType::kDataspace, "axes"));
    const hdf5::Layout layout = hdf5::read_layout(body(MessageType::kLayout, "a layout"));
    if (object.find(MessageType::kFilters) != nullptr) {
      fail("[hdf5] {}: compressed values: save again without compression (h5repack -f NONE)", where);
    }
    const std::int64_t count = element_count_of(dims, where);
    const std::uint64_t size = static_cast<std::uint64_t>(count) * size_of(*dtype);
    if (static_cast<std::uint64_t>(count) > bytes_.size() || size > bytes_.size()) {
      fail("[hdf5] {}: {} {} need {} bytes or more, file has {}", where, to_string(dims), name_of(*dtype), count,
           bytes_.size());
    }
    std::span<const std::byte> values = layout.bytes;
    if (size == 0) {
      values = {};
    } else if (layout.size != size) {
      fail("[hdf5] {}: expected {} of values for {} {}, found {}", where, counted(size, "byte"), to_string(dims),
           name_of(*dtype), layout.size);
    } else if (!layout.compact) {
      if (layout.address == kNowhere) fail("[hdf5] {}: no values have been written", where);
      if (layout.address > bytes_.size() || size > bytes_.size() - layout.address) {
        fail("[hdf5] {}: values end at byte {}, file has {}", where, layout.address + size, bytes_.size());
      }
      values = bytes_.subspan(static_cast<std::size_t>(layout.address), static_cast<std::size_t>(size));
    }
    spend(values_left_, size, where);
    check_tensor_count(tensors_.size() + 1, file_);
    if (!paths_.insert(path).second) fail("[hdf5] {}: the name appears twice", where);
    tensors_.push_back({path, Tensor(*dtype, std::move(dims), owner_, values)});
  }

  static std::int64_t element_count_of(const Dims& dims, const std::string& where) {
    try {
      return element_count(dims);
    } catch (const Error&) {
      fail("[hdf5] {}: {}: more elements than can be counted", where, to_string(dims));
    }
  }

  /// An object's attribute, one text as h5py writes it; empty when it isn't there or something else.
  std::string_view text_attribute(const Object& object, std::string_view name, const std::string& where) {
    for (const Message& message : object.messages) {
      constexpr std::uint8_t kShared = 2;
      if (message.type != MessageType::kAttribute || (message.flags & kShared) != 0) continue;
      const auto attribute = hdf5::read_attribute(Cursor(message.bytes, where));
      if (!attribute || attribute->name != name || !attribute->dims.empty()) continue;
      if (!attribute->datatype.variable_text) return {};
      Cursor value(attribute->value, where);
      const std::uint32_t length = value.u32();
      const std::uint64_t heap = value.u64();
      return heap_object(heap, value.u32(), where).substr(0, length);
    }
    return {};
  }

  /// Where Keras 3 describes a whole model. It is nothing that weights need, so damage to it is left alone.
  std::string_view keras_config(const Object& root) {
    try {
      const std::string_view config = text_attribute(root, "model_config", place(""));
      return config.size() <= kMaximalKerasConfig ? config : std::string_view();
    } catch (const Error&) {
      return {};
    }
  }

  /// An object of the global heap, where texts of any length lie.
  std::string_view heap_object(std::uint64_t address, std::uint32_t index, const std::string& where) {
    auto heap = heaps_.find(address);
    if (heap == heaps_.end()) {
      heap = heaps_.try_emplace(address).first;
      Cursor head(structure(address, 16, where, "global heap"), where);
      head.expect("GCOL");
      head.skip(4);
      const std::uint64_t size = head.u64();
      if (size < 16) fail("[hdf5] {}: global heap: expected 16 bytes or more, found {}", where, size);
      Cursor cursor(structure(address + 16, size - 16, where, "global heap"), where);
      while (cursor.left() >= 16) {
        const std::uint16_t number = cursor.u16();
        if (number == 0) break;  // what is free
        cursor.skip(6);
        const std::uint64_t length = cursor.u64();
        const std::string_view text = cursor.text(length);
        cursor.skip(std::min<std::uint64_t>((8 - length % 8) % 8, cursor.left()));
        if (++heap_objects_ > kMostHeapObjects) {
          fail("[hdf5] {}: global heap: expected at most {} objects, found more", where, kMostHeapObjects);
        }
        heap->second.emplace(number, text);
      }
    }
    const auto found = heap->second.find(index);
    if (found == heap->second.end()) fail("[hdf5] {}: no object {} in the global heap", where, index);
    return found->second;
  }

  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
  const std::string& file_;
  std::uint64_t structures_left_;
  std::uint64_t values_left_;
  std::unordered_set<std::uint64_t> seen_;  ///< addresses of objects
  std::set<std::string> paths_;
  std::map<std::uint64_t, std::map<std::uint32_t, std::string_view>> heaps_;
  std::size_t heap_objects_ = 0;  ///< in all of them
  std::vector<NamedTensor> tensors_;
  std::vector<std::string> groups_;
  std::string_view config_;
};

}  // namespace

bool is_hdf5(std::string_view bytes) { return bytes.starts_with(kSignature); }

RawFile parse_hdf5(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& file) {
  return Reader(bytes, std::move(owner), file).run();
}

}  // namespace gcvit::formats
