// SPDX-License-Identifier: Apache-2.0
#include "data/tfrecord.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "data/image_set.h"
#include "tests/data/example_bytes.h"
#include "tests/data/files.h"

namespace gcvit::data {
namespace {

using weights::error_of;
using weights::read_text;
using weights::TemporaryFolder;
using weights::write_text;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string folder() { return std::string(GCVIT_TEST_DATA) + "/data/tfrecord"; }
std::string image(const std::string& name) { return read_text(std::string(GCVIT_TEST_DATA) + "/image/decode/" + name); }

TEST(Tfrecord, Crc32cHasItsKnownValues) {
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xE3069283u);
  EXPECT_EQ(crc32c({}), 0u);
  // RFC 3720, B.4.
  EXPECT_EQ(crc32c(bytes_of(std::string(32, '\0'))), 0x8A9136AAu);
  EXPECT_EQ(crc32c(bytes_of(std::string(32, '\xff'))), 0x62A8AB43u);
  std::string rising;
  for (char i = 0; i < 32; ++i) rising += i;
  EXPECT_EQ(crc32c(bytes_of(rising)), 0x46DD794Eu);
}

TEST(Tfrecord, WritesWhatItReads) {
  const TemporaryFolder folder;
  const std::vector<std::string> records = {"", "a", std::string(100000, 'x'), "end"};
  {
    TfrecordWriter writer(folder / "x");
    writer.append(bytes_of(records[0]));
    writer.append(bytes_of(records[1]));
    writer.sync();
  }
  {
    TfrecordWriter writer(folder / "x");  // goes on
    writer.append(bytes_of(records[2]));
    writer.append(bytes_of(records[3]));
  }
  TfrecordReader reader(folder / "x");
  for (const std::string& expected : records) {
    const auto record = reader.next();
    ASSERT_TRUE(record);
    EXPECT_EQ(text_of(reader.read(*record)), expected);
    EXPECT_EQ(read_text(folder / "x").substr(record->offset, expected.size()), expected);
  }
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.next());
  EXPECT_NE(error_of([&] { TfrecordWriter(folder / "none/x"); }).find("can't be written"), std::string::npos);
  EXPECT_NE(error_of([&] { TfrecordReader(folder / "none"); }).find("no such file"), std::string::npos);
}

TEST(Tfrecord, EveryCutAndEveryFlippedBitIsNoticed) {
  const TemporaryFolder folder;
  const std::string whole = text_of(tfrecord_frame(bytes_of("some bytes")));
  const auto read_all = [&](const std::string& text) {
    write_text(folder / "x", text);
    return error_of([&] {
      TfrecordReader reader(folder / "x");
      while (const auto record = reader.next()) reader.read(*record);
    });
  };
  for (std::size_t size = 1; size < whole.size(); ++size) {
    EXPECT_NE(read_all(whole.substr(0, size)).find("record at byte 0"), std::string::npos) << size;
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string broken = whole;
    broken[i] = static_cast<char>(broken[i] ^ 4);
    const std::string error = read_all(broken);
    EXPECT_TRUE(error.find("wrong checksum") != std::string::npos || error.find("their checksum") != std::string::npos)
        << i << error;
  }
  // A length that nothing could be allocated for, with a sound checksum.
  std::string huge(8, '\xff');
  const std::uint32_t checksum = masked_crc32c(bytes_of(huge));
  for (int i = 0; i < 4; ++i) huge += static_cast<char>(checksum >> (8 * i));
  EXPECT_NE(read_all(huge + "xxxx").find("expected at most 1 GiB"), std::string::npos);
}

TEST(TfrecordShards, AreReadAsTensorFlowWroteThem) {
  const ImageSet set = open_image_set(folder());
  EXPECT_EQ(set.classes, (std::vector<std::string>{"dandelion", "daisy", "tulips"}));
  EXPECT_FALSE(set.numbered);
  const std::vector<std::string> images = {"jpeg_420.jpg", "jpeg_grey.jpg", "exif_6.jpg", "png_filtered.png",
                                           "jpeg_422.jpg"};
  const std::vector<std::int32_t> labels = {2, 0, 1, 2, 0};
  ASSERT_EQ(set.samples.size(), images.size());
  for (std::size_t i = 0; i < images.size(); ++i) {
    EXPECT_EQ(set.samples[i].label, labels[i]);
    EXPECT_EQ(text_of(read_sample(set.samples[i])), image(images[i])) << i;
  }
  EXPECT_EQ(set.samples[1].name, "flowers-train.tfrecord-00000-of-00002/000001");
  EXPECT_EQ(set.validates, (std::vector<bool>{false, false, false, true, true}));
  EXPECT_GT(decode_sample(set.samples[2]).width, 0);

  const ImageSet one = open_image_set(folder() + "/flowers-train.tfrecord-00001-of-00002");
  EXPECT_EQ(one.samples.size(), 1u);
  EXPECT_TRUE(one.validates.empty());
}

TEST(TfrecordShards, WithoutNamesLabelsAreNumbers) {
  const TemporaryFolder copy;
  std::filesystem::create_directories(copy / "flowers/1.0.0");
  for (const char* const name : {"flowers-train.tfrecord-00000-of-00002", "flowers-train.tfrecord-00001-of-00002"}) {
    write_text(copy / "flowers/1.0.0/" + name, read_text(folder() + "/" + name));
  }
  // The data set's folder stands for its newest version.
  const ImageSet set = open_image_set(copy / "flowers");
  EXPECT_TRUE(set.numbered);
  EXPECT_EQ(set.classes.size(), 3u);
  EXPECT_TRUE(set.validates.empty());

  std::filesystem::remove(copy / "flowers/1.0.0/flowers-train.tfrecord-00000-of-00002");
  write_text(copy / "flowers/1.0.0/flowers-test.tfrecord-00000-of-00001", "");
  EXPECT_NE(error_of([&] { open_image_set(copy / "flowers"); }).find("expected 2 shards of flowers-train.tfrecord"),
            std::string::npos);
}

TEST(TfrecordShards, LabelsMayBeNamesBesideTheListOfThem) {
  const Files files;
  const auto record = [](const std::string& label) {
    return records_of({example_of({{"image", bytes_feature("p")}, {"label", label}})});
  };
  const std::string shard = "x-train.tfrecord-00000-of-00001";
  files.add("label.labels.txt", "3 stars\n1 star\nnone\n");
  files.add(shard, record(bytes_feature("1 star")) + record(bytes_feature("2")) + record(integer_feature(0)));
  EXPECT_EQ(shown_names(open_image_set(files.root())),
            shard + "/000000=1 star " + shard + "/000001=none " + shard + "/000002=3 stars ");
  // A number that begins a name is none.
  files.add(shard, record(bytes_feature("1 moon")));
  EXPECT_TRUE(has(error_of([&] { open_image_set(files.root()); }), "found 1 moon"));
  files.add("label.labels.txt", "a\nb\na\n");
  EXPECT_TRUE(has(error_of([&] { open_image_set(files.root()); }), "expected a name once, found \"a\" twice"));
}

TEST(TfrecordShards, NamesStandBesideAShardThatIsNamedWithoutItsFolder) {
  const Files files;
  files.add("label.labels.txt", "roses\ndaisy\n");
  files.add("x.tfrecord", records_of({example_of({{"image", bytes_feature("p")}, {"label", integer_feature(1)}})}));
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(files.root());
  const ImageSet set = open_image_set("x.tfrecord");
  std::filesystem::current_path(before);
  EXPECT_EQ(shown_names(set), "x.tfrecord/000000=daisy ");
}

TEST(TfrecordShards, SidesHaveTheSameClasses) {
  const Files files;
  const std::string record = records_of({example_of({{"image", bytes_feature("p")}, {"label", integer_feature(1)}})});
  files.add("train/x.tfrecord", record);
  files.add("val/x.tfrecord", record);
  files.add("label.labels.txt", "roses\ndaisy\n");
  EXPECT_EQ(shown_names(open_image_set(files.root())), "train/x.tfrecord/000000=daisy val/x.tfrecord/000000=daisy* ");
  files.add("val/label.labels.txt", "daisy\nroses\n");
  EXPECT_TRUE(has(error_of([&] { open_image_set(files.root()); }), "label.labels.txt, found others"));
  files.add("train/label.labels.txt", "daisy\nroses\n");
  EXPECT_EQ(shown_names(open_image_set(files.root())), "train/x.tfrecord/000000=roses val/x.tfrecord/000000=roses* ");
}

TEST(TfrecordShards, ALengthMayBeginAsAnotherKindOfFile) {
  const Files files;
  // As a gzip file and as UTF-16 do.
  for (const std::size_t length : {0x8b1f, 0xfeff}) {
    const auto example = [](std::size_t image) {
      return example_of({{"image", bytes_feature(std::string(image, 'p'))}, {"label", integer_feature(1)}});
    };
    std::size_t image = length;
    while (example(image).size() > length) --image;
    ASSERT_EQ(example(image).size(), length);
    files.add("x.tfrecord", records_of({example(image)}));
    EXPECT_EQ(open_image_set(files / "x.tfrecord").samples.size(), 1u);
  }
}

TEST(TfrecordShards, RecordsOfAnotherKindAreRefused) {
  const TemporaryFolder files;
  const auto refusal = [&](std::string_view record) {
    write_text(files / "x.tfrecord", text_of(tfrecord_frame(bytes_of(record))));
    return error_of([&] { open_image_set(files / "x.tfrecord"); });
  };
  EXPECT_NE(refusal("no example").find("x.tfrecord: record 0: expected a tf.Example"), std::string::npos);
  EXPECT_NE(refusal("").find("expected a feature of one encoded photo (image, image/encoded"), std::string::npos);
  EXPECT_NE(refusal("").find("found the features none"), std::string::npos);
}

TEST(TfrecordShards, AreKnownByTheirNames) {
  const Files files;
  const std::string record = records_of({example_of({{"image", bytes_feature("p")}, {"label", integer_feature(3)}})});
  for (const char* const name : {"x.tfrecord", "x.tfrecords", "x.TFREC", "flowers00-224x224-4.tfrec",
                                 "x.tfrecord-00000-of-00001", "train-00000-of-00001", "x-00002-of-00010.tfrecord"}) {
    files.add(name, record);
    EXPECT_EQ(open_image_set(files / name).classes, (std::vector<std::string>{"3"})) << name;
  }
  for (const char* const name : {"x.tfrecord.txt", "x-00002-of-00002", "x-1-of", "tfrecord"}) {
    files.add(name, record);
    EXPECT_TRUE(has(error_of([&] { open_image_set(files / name); }), "found a file with another ending")) << name;
  }
}

TEST(TfrecordShards, ThatAreMissingAreSaidWhereTheNumberStandsBeforeTheEnding) {
  const Files files;
  const std::string record = records_of({example_of({{"image", bytes_feature("p")}, {"label", integer_feature(3)}})});
  files.add("x_00000-of-00003.tfrecord", record);
  files.add("y-01-of-02.tfrec", record);
  files.add("y-02-of-02.tfrec", record);
  const ImageSet set = open_image_set(files.root());
  EXPECT_EQ(set.samples.size(), 3u);
  EXPECT_EQ(set.notices, (std::vector<std::string>{files.root() + ": of the 3 shards of x.tfrecord only 1 is there"}));
  EXPECT_TRUE(open_image_set(files / "x_00000-of-00003.tfrecord").notices.empty());
}

TEST(TfrecordShards, FeaturesHaveTheirUsualNames) {
  const Files files;
  const auto open = [&](const std::vector<std::pair<std::string, std::string>>& features) {
    files.add("x.tfrecord", records_of({example_of(features)}));
    return open_image_set(files / "x.tfrecord");
  };
  const std::string image = bytes_feature("the photo");
  for (const char* const name : {"image", "image/encoded", "image_raw"}) {
    for (const char* const label : {"label", "image/class/label", "class"}) {
      const ImageSet set = open({{"id", bytes_feature("x")}, {label, packed_feature({7})}, {name, image}});
      EXPECT_EQ(set.classes, (std::vector<std::string>{"7"}));
      EXPECT_EQ(text_of(read_sample(set.samples.at(0))), "the photo");
    }
  }
  EXPECT_EQ(open({{"image", image}, {"image/class/text", bytes_feature(" daisy\n")}}).classes,
            (std::vector<std::string>{"daisy"}));
  EXPECT_EQ(open({{"label", integer_feature(1)}, {"image", image}, {"label", integer_feature(2)}}).classes,
            (std::vector<std::string>{"2"}));  // the last one, as protocol buffers have it
  const auto refusal = [&](const std::vector<std::pair<std::string, std::string>>& features) {
    return error_of([&] { open(features); });
  };
  EXPECT_TRUE(has(refusal({{"id", bytes_feature("x")}, {"image", image}}),
                  "record 0: expected a feature of one class, an integer or a name (label, labels, class, "));
  EXPECT_TRUE(has(refusal({{"id", bytes_feature("x")}, {"image", image}}),
                  "found the features \"id\" (bytes), \"image\" (bytes)"));
  EXPECT_TRUE(has(refusal({{"label", integer_feature(1)}, {"depth", float_feature()}}),
                  "expected a feature of one encoded photo (image, image/encoded, "));
  EXPECT_TRUE(has(refusal({{"label", integer_feature(1)}, {"depth", float_feature()}}), "\"depth\" (floats)"));
  EXPECT_TRUE(has(refusal({{"label", packed_feature({1, 2})}, {"image", image}}), "expected a feature of one class"));
  EXPECT_TRUE(has(refusal({{"label", float_feature()}, {"image", image}}), "expected a feature of one class"));
  EXPECT_TRUE(
      has(refusal({{"label", packed_feature({std::uint64_t{1} << 63})}, {"image", image}}), "expected a label from 0"));
}

TEST(TfrecordShards, OtherFilesAreCalledWhatTheyAre) {
  const Files files;
  files.add("x.tfrecord", "\x1f\x8b\x08 and so on");
  EXPECT_TRUE(has(error_of([&] { open_image_set(files / "x.tfrecord"); }), "found a gzip file (unpack it first)"));
  EXPECT_TRUE(has(error_of([&] { open_image_set(files.root()); }), "found a gzip file"));
  files.add("x.tfrecord", "");
  EXPECT_TRUE(has(error_of([&] { open_image_set(files.root()); }), "found an empty file"));
  files.add("x.tfrecord", "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_TRUE(has(error_of([&] { open_image_set(files.root()); }), "found a Git LFS pointer (fetch the file itself"));
  files.add("x.tar", "");
  EXPECT_TRUE(
      has(error_of([&] { open_image_set(files.root()); }), "expected shards of one kind, found x.tfrecord and x.tar"));
}

TEST(TfrecordShards, AImagesChecksumIsComparedWhenItIsRead) {
  const Files files;
  const std::string image(10'000, 'x');  // longer than a piece
  std::string text = records_of({example_of({{"image", bytes_feature(image)}, {"label", integer_feature(0)}}),
                                 example_of({{"image", bytes_feature("b")}, {"label", integer_feature(1)}})});
  text[5000] = 'y';
  files.add("x.tfrecord", text);
  const ImageSet set = open_image_set(files / "x.tfrecord");
  ASSERT_EQ(set.samples.size(), 2u);
  EXPECT_EQ(error_of([&] { read_sample(set.samples[0]); }),
            "[tfrecord] " + (files / "x.tfrecord") +
                ": \"x.tfrecord/000000\": expected the bytes that their checksum is of, found others");
  EXPECT_EQ(text_of(read_sample(set.samples[1])), "b");
}

TEST(TfrecordShards, NoByteOfARecordBreaksTheirReading) {
  const Files files;
  const std::string example = example_of({{"id", bytes_feature("x")},
                                          {"f", float_feature()},
                                          {"label", packed_feature({300})},
                                          {"image", bytes_feature("photo")}});
  for (std::size_t i = 0; i < example.size(); ++i) {
    for (const int flip : {1, 4, 32, 128, 255}) {
      std::string broken = example;
      broken[i] = static_cast<char>(broken[i] ^ flip);
      files.add("x.tfrecord", records_of({broken, example}));
      try {
        for (const Sample& sample : open_image_set(files / "x.tfrecord").samples) {
          EXPECT_EQ(read_sample(sample).size(), sample.size);
        }
      } catch (const Error& error) {
        EXPECT_TRUE(has(error.what(), "x.tfrecord: record 0: expected")) << i << error.what();
      }
    }
    files.add("x.tfrecord", records_of({example.substr(0, i), example}));
    EXPECT_TRUE(has(error_of([&] { open_image_set(files / "x.tfrecord"); }), "record 0: expected")) << i;  // cut off
  }
}

}  // namespace
}  // namespace gcvit::data
