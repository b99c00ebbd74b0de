// SPDX-License-Identifier: Apache-2.0
#include "report/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <span>
#include <system_error>

#include "image/encode.h"
#include "report/event.pb.h"
#include "base/error.h"

namespace gcvit::report {
namespace {

constexpr std::string_view kPrefix = "events.out.tfevents.";
constexpr std::int64_t kLastSecond = 9'999'999'999;  // ten digits, as names have them

/// The time in seconds in a file's name; -1 for other files.
std::int64_t second_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) return -1;
  std::int64_t second = -1;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), second);
  return second < kLastSecond ? second : -1;
}

/// Now, or a second after the newest event file: for two starts within a second, or a clock that was set back.
std::int64_t next_second(const std::string& folder) {
  std::int64_t second =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::error_code missing;  // reported when the file is opened
  for (const auto& entry : std::filesystem::directory_iterator(folder, missing)) {
    second = std::max(second, second_of(entry.path().filename().string()) + 1);
  }
  return second;
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

Event event_at(std::int64_t step) {
  Event event;
  event.set_wall_time(std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
  event.set_step(step);
  return event;
}

void append(data::TfrecordWriter& records, const Event& event) {
  const std::string bytes = event.SerializeAsString();
  records.append(std::as_bytes(std::span(bytes)));
}

}  // namespace

EventFile::EventFile(const std::string& folder, std::int64_t first_step)
    : path_(fmt::format("{}/{}{:010}.{}", folder, kPrefix, next_second(folder), host_name())), records_(path_) {
  Event version = event_at(0);
  version.set_file_version("brain.Event:2");
  Event start = event_at(first_step);
  start.mutable_session_log()->set_status(SessionLog::START);
  try {
    append(records_, version);
    append(records_, start);
  } catch (const Error&) {
    std::error_code ignored;  // an error is being thrown already
    std::filesystem::remove(path_, ignored);
    throw;
  }
}

void EventFile::scalar(std::string_view tag, std::int64_t step, double value) {
  Event event = event_at(step);
  Summary::Value& entry = *event.mutable_summary()->add_value();
  entry.set_tag(std::string(tag));
  entry.set_simple_value(static_cast<float>(value));
  append(records_, event);
}

void EventFile::picture(std::string_view tag, std::int64_t step, const image::Image& image) {
  Event event = event_at(step);
  Summary::Value& entry = *event.mutable_summary()->add_value();
  entry.set_tag(std::string(tag));
  Summary::Image& picture = *entry.mutable_image();
  picture.set_height(image.height);
  picture.set_width(image.width);
  picture.set_colorspace(3);
  picture.set_encoded_image_string(image::encode_png(image));
  append(records_, event);
}

void EventFile::epoch(const EpochRow& row) {
  scalar("loss", row.epoch, row.loss);
  scalar("accuracy", row.epoch, row.accuracy);
  if (row.val_loss) scalar("val_loss", row.epoch, *row.val_loss);
  if (row.val_accuracy) scalar("val_accuracy", row.epoch, *row.val_accuracy);
  scalar("lr", row.epoch, row.lr);
  scalar("images_per_second", row.epoch, row.images_per_second);
  records_.sync();
}

}  // namespace gcvit::report
