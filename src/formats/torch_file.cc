// SPDX-License-Identifier: Apache-2.0
#include "formats/torch_file.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "formats/in_quotes.h"
#include "formats/pickle.h"
#include "formats/state_dict.h"

namespace gcvit::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are viewed as they lie in the file");

using namespace std::string_view_literals;
using Kind = PickleValue::Kind;

constexpr std::string_view kPickleEntry = "/data.pkl";
/// 0x1950a86a20f9469cfc6c as protocol 2 and later spell it, and as protocol 1 does.
constexpr std::string_view kMagic = "\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19."sv;
constexpr std::string_view kMagicText = "L119547037146038801333356L\n."sv;
/// The magic number may have a protocol and a frame in front.
constexpr std::size_t kMagicReach = 32;
constexpr std::int64_t kStreamVersion = 1001;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

[[noreturn]] void fail_big_endian(const std::string& file) {
  fail("[torch] {}: expected little-endian tensors, found big-endian ones; save the file anew on a usual machine",
       file);
}

/// "NAME/" of the archive's folder; empty when it has no pickle.
std::string_view folder_of(const ZipArchive& archive) {
  for (const ZipArchive::Entry& entry : archive.entries()) {
    const std::size_t slash = entry.name.find('/');
    if (slash != std::string_view::npos && entry.name.substr(slash) == kPickleEntry) {
      return entry.name.substr(0, slash + 1);
    }
  }
  return {};
}

/// What the pickle in front says about the machine that wrote a stream.
void check_system(const PickleValue& system, const std::string& file) {
  if (!system.is(Kind::kDict))
    fail("[torch] {}: expected a dict about the system, found {}", file, system.description());
  const PickleValue::Items& items = system.items();
  for (std::size_t i = 0; i < items.size(); i += 2) {
    if (items[i]->is(Kind::kText) && items[i]->text() == "little_endian" && items[i + 1]->is(Kind::kBool) &&
        items[i + 1]->integer() == 0) {
      fail_big_endian(file);
    }
  }
}

/// The storages behind the pickles, in the order of `keys`.
Storages read_storages(std::span<const std::byte> bytes, std::size_t place, const PickleValue& keys,
                       const std::unordered_map<std::string_view, std::size_t>& element_sizes,
                       const std::string& file) {
  if (!keys.is(Kind::kList)) fail("[torch] {}: expected a list of storage keys, found {}", file, keys.description());
  Storages storages;
  for (const PickleValue* key : keys.items()) {
    if (!key->is(Kind::kText)) fail("[torch] {}: storage keys: expected texts, found {}", file, key->description());
    const auto size = element_sizes.find(key->text());
    if (size == element_sizes.end()) {
      fail("[torch] {}: storage {}: no tensor tells its type", file, in_quotes(key->text()));
    }
    std::int64_t elements = 0;
    if (bytes.size() - place < sizeof(elements)) {
      fail("[torch] {}: storage {}: expected its size at byte {}, file has {}", file, in_quotes(key->text()), place,
           bytes.size());
    }
    std::memcpy(&elements, bytes.data() + place, sizeof(elements));
    place += sizeof(elements);
    if (elements < 0 || static_cast<std::uint64_t>(elements) > (bytes.size() - place) / size->second) {
      fail("[torch] {}: storage {}: {} elements of {} bytes from byte {} on, file has {}", file, in_quotes(key->text()),
           elements, size->second, place, bytes.size());
    }
    const std::size_t length = static_cast<std::size_t>(elements) * size->second;
    if (!storages.emplace(key->text(), bytes.subspan(place, length)).second) {
      fail("[torch] {}: storage {} appears twice", file, in_quotes(key->text()));
    }
    place += length;
  }
  if (place != bytes.size()) {
    fail("[torch] {}: the last storage ends at byte {}, file has {}", file, place, bytes.size());
  }
  return storages;
}

}  // namespace

void fail_torch_script(const std::string& file) {
  fail("[torch] {}: expected a state_dict, found a TorchScript program; save model.state_dict() instead", file);
}

bool is_torch_archive(const ZipArchive& archive) { return !folder_of(archive).empty(); }

bool is_torch_stream(std::string_view bytes) {
  const std::string_view head = bytes.substr(0, kMagicReach);
  return (head.starts_with('\x80') && head.find(kMagic) != std::string_view::npos) || head.starts_with(kMagicText);
}

RawFile parse_torch_archive(const ZipArchive& archive, const std::shared_ptr<const void>& owner,
                            const std::string& file, const ReadOptions& options) {
  const std::string folder(folder_of(archive));
  const ZipArchive::Entry* const data = archive.find(folder + std::string(kPickleEntry.substr(1)));
  if (folder.empty() || data == nullptr) fail("[torch] {}: expected an entry \"NAME/data.pkl\", found none", file);
  if (archive.find(folder + "constants.pkl") != nullptr) fail_torch_script(file);
  if (const ZipArchive::Entry* order = archive.find(folder + "byteorder")) {
    const std::string_view text = text_of(order->bytes);
    if (text == "big") fail_big_endian(file);
    if (text != "little") fail("[torch] {}: byteorder: expected \"little\", found {}", file, in_quotes(text));
  }
  const Pickle pickle = read_pickle(text_of(data->bytes), 0, file);
  Storages storages;
  const std::string prefix = folder + "data/";
  for (const ZipArchive::Entry& entry : archive.entries()) {
    if (entry.name.starts_with(prefix)) storages.emplace(entry.name.substr(prefix.size()), entry.bytes);
  }
  RawFile raw = read_state_dict(*pickle.root, storages, owner, file, options);
  raw.notes.insert(raw.notes.begin(), "PyTorch's ZIP container (torch.save since 1.6)");
  return raw;
}

RawFile parse_torch_stream(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner,
                           const std::string& file, const ReadOptions& options) {
  const std::string_view text = text_of(bytes);
  if (!is_torch_stream(text)) fail("[torch] {}: expected torch.save's magic number, found something else", file);
  const bool as_text = text.starts_with(kMagicText);
  std::size_t instructions = kMaximalPickleInstructions;  // of all pickles together
  const auto read_next = [&](std::size_t begin) {
    Pickle pickle = read_pickle(text, begin, file, instructions);
    instructions -= pickle.instructions;
    return pickle;
  };
  const Pickle version = read_next(as_text ? kMagicText.size() : text.find(kMagic) + kMagic.size());
  if (!version.root->is(Kind::kInteger) || version.root->integer() != kStreamVersion) {
    fail("[torch] {}: expected version {} of the format, found {}", file, kStreamVersion,
         version.root->is(Kind::kInteger) ? std::to_string(version.root->integer()) : version.root->description());
  }
  const Pickle system = read_next(version.end);
  check_system(*system.root, file);
  const Pickle object = read_next(system.end);
  std::unordered_map<std::string_view, std::size_t> element_sizes;
  std::unordered_map<const PickleValue*, std::size_t> by_key;  // each text is looked up once, whoever names it
  for (const PickleValue& value : object.values) {
    if (!value.is(Kind::kPersistent)) continue;
    const std::optional<StorageId> id = read_storage_id(value, file);
    if (!id) continue;
    const auto [known, is_new] = by_key.try_emplace(id->key, 0);
    if (is_new) known->second = element_sizes.emplace(id->key->text(), id->type.element_size).first->second;
    if (known->second != id->type.element_size) {
      fail("[torch] {}: storage {}: elements of {} bytes and of {}", file, in_quotes(id->key->text()), known->second,
           id->type.element_size);
    }
  }
  const Pickle keys = read_next(object.end);
  RawFile raw = read_state_dict(*object.root, read_storages(bytes, keys.end, *keys.root, element_sizes, file), owner,
                                file, options);
  raw.notes.insert(raw.notes.begin(), "PyTorch's container from before 1.6");
  return raw;
}

}  // namespace gcvit::formats
