// SPDX-License-Identifier: Apache-2.0
#include "formats/zip_archive.h"

#include <gtest/gtest.h>

#include <utility>

#include "base/random.h"
#include "tests/formats/test_files.h"
#include "formats/crc32.h"
#include "formats/zip_writer.h"

namespace gcvit::formats {
namespace {

using Members = std::vector<std::pair<std::string, std::string>>;

/// A ZIP of these members.
std::string zip_text(const Members& members) {
  const TemporaryFolder folder;
  ZipWriter writer(folder / "x.zip", ZipStyle::kPlain);
  for (const auto& [name, text] : members) writer.add(name, std::string_view(text));
  writer.finish();
  return read_text(folder / "x.zip");
}

const Members kMembers = {{"b/data.pkl", "pickle"}, {"a", ""}, {"b/data/0", std::string(300, 'w')}};

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string refusal(const std::string& text) {
  return error_of([&] { ZipArchive(Bytes(text).span, "x.zip"); });
}

template <typename Number>
std::string with(std::string text, std::size_t place, Number number) {
  std::memcpy(text.data() + place, &number, sizeof(number));
  return text;
}

TEST(ZipArchive, EntriesAreViewsSortedByName) {
  const Bytes bytes(zip_text(kMembers));
  const ZipArchive archive(bytes.span, "x.zip");
  ASSERT_EQ(archive.entries().size(), 3u);
  EXPECT_EQ(archive.entries()[0].name, "a");
  EXPECT_EQ(archive.entries()[1].name, "b/data.pkl");
  EXPECT_EQ(archive.entries()[2].name, "b/data/0");
  EXPECT_EQ(text_of(archive.find("b/data.pkl")->bytes), "pickle");
  EXPECT_TRUE(archive.find("a")->bytes.empty());
  EXPECT_EQ(text_of(archive.find("b/data/0")->bytes), std::string(300, 'w'));
  EXPECT_GE(archive.find("b/data/0")->bytes.data(), bytes.span.data());
  EXPECT_EQ(archive.find("b"), nullptr);
  EXPECT_EQ(archive.find("c"), nullptr);
  for (const ZipArchive::Entry& entry : archive.entries()) check_crc(entry, "x.zip");
}

TEST(ZipArchive, CrcIsTheOneEverybodyComputes) {
  EXPECT_EQ(crc32(Bytes("123456789").span), 0xCBF43926u);  // the check value of CRC-32/ISO-HDLC
  EXPECT_EQ(crc32({}), 0u);
  std::string damaged = zip_text(kMembers);
  damaged[damaged.find("pickle")] = 'P';
  const Bytes bytes(damaged);
  const ZipArchive archive(bytes.span, "x.zip");
  EXPECT_EQ(error_of([&] { check_crc(*archive.find("b/data.pkl"), "x.zip"); }),
            "[zip] x.zip: entry \"b/data.pkl\": expected CRC-32 " +
                fmt::format("{:08x}, found {:08x}", archive.find("b/data.pkl")->crc, crc32(Bytes("Pickle").span)) +
                ": the file is damaged");
}

TEST(ZipArchive, ACommentAtTheEndIsSkipped) {
  std::string text = zip_text(kMembers);
  text = with(text, text.size() - 2, std::uint16_t{5}) + "hello";
  EXPECT_EQ(ZipArchive(Bytes(text).span, "x.zip").entries().size(), 3u);
}

TEST(ZipArchive, RefusesWhatIsNotStoredPlainly) {
  const std::string text = zip_text({{"a", "text"}});
  const std::size_t directory = text.find("PK\x01\x02");
  EXPECT_EQ(refusal(with(text, directory + 10, std::uint16_t{8})),
            "[zip] x.zip: entry \"a\": expected stored bytes, found compressed ones (method 8); unpack it, or save it "
            "without compression");
  EXPECT_EQ(refusal(with(text, directory + 8, std::uint16_t{1})),
            "[zip] x.zip: entry \"a\": expected plain bytes, found encrypted ones");
}

TEST(ZipArchive, RefusesPlacesThatDoNotFit) {
  const std::string text = zip_text({{"a", "text"}, {"b", "more"}});
  const std::size_t first = text.find("PK\x01\x02");
  const std::size_t second = text.find("PK\x01\x02", first + 1);
  const std::size_t end = text.find("PK\x05\x06");
  const std::string entry = "[zip] x.zip: entry \"a\": ";
  EXPECT_EQ(refusal(with(text, first + 20, std::uint32_t{5})), entry + "has 4 bytes, stored as 5");
  EXPECT_EQ(refusal(with(with(text, first + 20, std::uint32_t{400}), first + 24, std::uint32_t{400})),
            entry + "has 400 bytes from byte 31 on, the directory begins at 70");
  EXPECT_EQ(refusal(with(with(text, first + 20, std::uint32_t{6}), first + 24, std::uint32_t{6})),
            "[zip] x.zip: entry \"b\": begins at byte 35, inside \"a\", which ends at 37");
  EXPECT_EQ(refusal(with(text, first + 20, 0xffffffffu)), entry + "its ZIP64 numbers are missing");
  EXPECT_EQ(refusal(with(text, first + 42, std::uint32_t{1})), entry + "expected its header at byte 1, found none");
  EXPECT_EQ(refusal(with(text, first + 42, std::uint32_t{35})), entry + "its header at byte 35 is another's: \"b\"");
  EXPECT_EQ(refusal(with(with(text, second + 46, 'a'), 35 + 30, 'a')), "[zip] x.zip: the entry \"a\" appears twice");
  EXPECT_EQ(refusal(with(text, first + 28, std::uint16_t{60000})),
            fmt::format("[zip] x.zip: an entry of the directory ends at byte {}, the directory at {}",
                        first + 46 + 60000, end));
  EXPECT_EQ(refusal(with(text, end + 10, std::uint16_t{65535})),
            "[zip] x.zip: expected 65535 entries, the directory has 2");
  EXPECT_EQ(refusal(with(text, end + 12, std::uint32_t{4000000000})),
            fmt::format("[zip] x.zip: the directory has 4000000000 bytes from byte 70 on, file has {}", text.size()));
  EXPECT_EQ(refusal(with(text, end + 16, std::uint32_t{69})),
            "[zip] x.zip: expected an entry of the directory at byte 69, found none");
}

TEST(ZipArchive, EveryTruncationIsRefused) {
  const std::string text = zip_text(kMembers);
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_EQ(refusal(text.substr(0, size)), "[zip] x.zip: expected a directory at the end, found none: cut short?");
  }
}

TEST(ZipArchive, DamageIsAnsweredBySentences) {
  const std::string valid = zip_text(kMembers);
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    Random random(seed);
    std::string text = valid;
    for (std::uint32_t changes = 1 + random.below(3); changes > 0 && !text.empty(); --changes) {
      const std::uint32_t place = random.below(static_cast<std::uint32_t>(text.size()));
      switch (random.below(4)) {
        case 0: text[place] = static_cast<char>(random.below(256)); break;
        case 1: text[place] = '\xff'; break;
        case 2: text.insert(place, text.substr(random.below(place + 1), 1 + random.below(60))); break;
        default: text.erase(place, 1 + random.below(40)); break;
      }
    }
    try {
      const Bytes bytes(text);
      const ZipArchive archive(bytes.span, "x.zip");
      for (const ZipArchive::Entry& entry : archive.entries()) check_crc(entry, "x.zip");
    } catch (const Error& error) {
      EXPECT_TRUE(std::string_view(error.what()).starts_with("[zip] x.zip: ")) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 2000);
}

}  // namespace
}  // namespace gcvit::formats
