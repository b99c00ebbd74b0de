// SPDX-License-Identifier: Apache-2.0
#include "report/event_file.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "data/tfrecord.h"
#include "tests/testing/faults.h"
#include "tests/weights/test_files.h"

namespace gcvit::report {
namespace {

std::vector<std::string> records_of(const std::string& path) {
  data::TfrecordReader reader(path);
  std::vector<std::string> records;
  while (const auto record = reader.next()) {
    const std::vector<std::byte> bytes = reader.read(*record);
    records.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return records;
}

bool has(const std::string& record, std::string_view part) { return record.find(part) != std::string::npos; }

TEST(EventFile, HoldsVersionStartAndValues) {
  const weights::TemporaryFolder folder;
  EventFile events(folder / "", 3);
  events.epoch({3, 0.5, 0.75, 0.625, 0.875, 1e-3, 60, 9.5});
  events.picture("samples", 3, {2, 1, {1, 2, 3, 4, 5, 6}});
  const std::vector<std::string> records = records_of(events.path());
  ASSERT_EQ(records.size(), 9u);
  // Wire format: field number * 8 + type, then the value. wall_time is field 1, type 1 (8 bytes); file_version field 3,
  // type 2 (length).
  EXPECT_EQ(records[0].substr(0, 1), "\x09");
  EXPECT_EQ(records[0].substr(9),
            "\x1a\x0d"
            "brain.Event:2");
  // step 3 (field 2), session_log (field 7) with status START (field 1).
  EXPECT_EQ(records[1].substr(9), "\x10\x03\x3a\x02\x08\x01");
  // summary (field 5), value (1), tag (1) and simple_value (2, four bytes: 0.5f).
  EXPECT_EQ(records[2].substr(9), std::string("\x10\x03\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\0\x3f", 17));
  EXPECT_TRUE(has(records[3], "accuracy"));
  EXPECT_TRUE(has(records[4], "val_loss"));
  EXPECT_TRUE(has(records[7], "images_per_second"));
  EXPECT_TRUE(has(records[8], "samples"));
  EXPECT_TRUE(has(records[8], "\x89PNG"));
}

TEST(EventFile, WithoutValidationItHasNoSuchNumbers) {
  const weights::TemporaryFolder folder;
  EventFile events(folder / "", 1);
  events.epoch({.epoch = 1, .loss = 1.0});
  EXPECT_EQ(records_of(events.path()).size(), 6u);
}

TEST(EventFile, ALaterFileSortsBehind) {
  const weights::TemporaryFolder folder;
  weights::write_text(folder / "events.out.tfevents.4000000000.elsewhere", "");
  weights::write_text(folder / "events.out.tfevents.x", "");
  std::string last = folder / "events.out.tfevents.4000000000.elsewhere";
  for (int i = 0; i < 3; ++i) {
    const EventFile events(folder / ".", i);
    const std::string path = std::filesystem::path(events.path()).lexically_normal().string();
    EXPECT_GT(path, last);
    last = path;
  }
  EXPECT_EQ(folder.files(), 5u);
}

TEST(EventFile, AFullDiskLeavesWholeRecordsOrNoFile) {
  const weights::TemporaryFolder folder;
  for (int capacity = 0; capacity < 60; capacity += 4) {
    testing::Faults faults;
    faults.capacity = capacity;
    faults.error = ENOSPC;
    const std::string sentence = weights::error_of([&] { EventFile(folder / "", 1); });
    EXPECT_TRUE(sentence.ends_with(": can't be written: No space left on device")) << sentence;
    EXPECT_EQ(folder.files(), 0u);
  }
  EventFile events(folder / "", 1);
  std::size_t before = records_of(events.path()).size();
  for (int capacity = 0; capacity < 100; capacity += 9) {
    testing::Faults faults;
    faults.capacity = capacity;
    faults.error = ENOSPC;
    weights::error_of([&] { events.epoch({.epoch = 1, .loss = 1.0}); });
    EXPECT_GE(records_of(events.path()).size(), before);  // reading them checks that they are whole
    before = records_of(events.path()).size();
  }
  testing::Faults faults;
  faults.failing_call = 4;  // after four values
  faults.error = EIO;
  EXPECT_NE(weights::error_of([&] { events.epoch({.epoch = 1, .loss = 1.0}); }).find("Input/output error"),
            std::string::npos);
}

TEST(EventFile, SaysWhereItCannotBeWritten) {
  const std::string error = weights::error_of([] { EventFile("/nowhere/at/all", 0); });
  EXPECT_TRUE(error.starts_with("[file] /nowhere/at/all/events.out.tfevents.")) << error;
  EXPECT_TRUE(error.ends_with("can't be written: No such file or directory")) << error;
}

}  // namespace
}  // namespace gcvit::report
