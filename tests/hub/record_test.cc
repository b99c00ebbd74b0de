// SPDX-License-Identifier: Apache-2.0
#include "hub/record.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/testing/error_of.h"
#include "tests/testing/faults.h"
#include "tests/weights/test_files.h"

namespace gcvit::hub {
namespace {

using testing::error_of;

const Record kRecord{"gcvit_xxtiny.keras", "https://x.org/f", 48'767'519, std::string(64, 'a'),
                     1'700'000'000'123'456'789};

TEST(RecordTest, ComesBackAsItWas) {
  const weights::TemporaryFolder folder;
  const std::string file = folder / "f";
  EXPECT_FALSE(read_record(file));
  write_record(file, kRecord);
  EXPECT_EQ(weights::read_text(file + ".json"), to_text(kRecord));
  const Record record = *read_record(file);
  EXPECT_EQ(record.name, kRecord.name);
  EXPECT_EQ(record.url, kRecord.url);
  EXPECT_EQ(record.size, kRecord.size);
  EXPECT_EQ(record.sha256, kRecord.sha256);
  EXPECT_EQ(record.modified_ns, kRecord.modified_ns);
}

TEST(RecordTest, AnythingElseIsRefusedInASentence) {
  const auto refusal = [](const std::string& text) { return error_of([&] { parse_record(text, "f.json"); }); };
  EXPECT_EQ(refusal("[]"),
            "[pull] f.json: expected the record of a download, found something else; remove it to "
            "download anew");
  const std::string text = to_text(kRecord);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    return changed.replace(changed.find(from), from.size(), to);
  };
  for (const std::string& broken :
       {with("48767519", "-1"), with("48767519", "1e99"), with("48767519", "\"9\""), with("aaaa", "AAAA"),
        with("aaaa", "aaaaa"), with("1700000000123456789", "null"), with("\"url\"", "\"u\""),
        with("\"gcvit_xxtiny.keras\"", "{}"), std::string(60'000, '['), std::string("\xff\x00{", 3)}) {
    EXPECT_TRUE(refusal(broken).starts_with("[pull] f.json: expected the record")) << broken;
  }
}

TEST(RecordTest, CutOrChangedItIsARecordOrRefused) {
  const std::string text = to_text(kRecord);
  for (std::size_t size = 0; size + 2 < text.size(); ++size) {
    EXPECT_TRUE(error_of([&] { parse_record(text.substr(0, size), "f.json"); }).starts_with("[pull] f.json: ")) << size;
  }
  std::mt19937 random(1);
  for (int round = 0; round < 2'000; ++round) {
    std::string changed = text;
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
      changed[random() % changed.size()] = static_cast<char>(random());
    }
    const std::string sentence = error_of([&] { EXPECT_EQ(parse_record(changed, "f.json").sha256.size(), 64u); });
    EXPECT_TRUE(sentence == "no error" || sentence.starts_with("[pull] f.json: ")) << sentence;
  }
}

TEST(RecordTest, NoMoreThan64KibAreRead) {
  const weights::TemporaryFolder folder;
  weights::write_text(folder / "f.json", to_text(kRecord) + std::string(100'000, ' '));
  EXPECT_EQ(read_small_file(folder / "f.json")->size(), 65'536u);
  EXPECT_TRUE(error_of([&] { read_small_file(folder / "f.json/x"); }).starts_with("[file] "));
}

TEST(RecordTest, IsWholeOrNotThereOnAnyDeviceThatFails) {
  const weights::TemporaryFolder folder;
  testing::expect_whole_or_not_at_all(folder / "f.json", [&] { write_record(folder / "f", kRecord); });
}

}  // namespace
}  // namespace gcvit::hub
