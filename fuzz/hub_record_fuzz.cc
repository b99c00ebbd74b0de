// SPDX-License-Identifier: Apache-2.0
// What lies beside a pulled file: its record; and a name that is looked up among the official files.
#include <algorithm>
#include <optional>

#include "fuzz/target.h"
#include "hub/catalogue.h"
#include "hub/record.h"

namespace gcvit::fuzz {
namespace {

void run(const Input& input, Budget&) {
  if (const std::optional<hub::OfficialFile> file = hub::find_official(input.text().substr(0, 256))) {
    expect(file->url.starts_with("https://") && file->url.ends_with(file->file_name), "an official file");
  }
  const hub::Record record = hub::parse_record(std::string(input.text()), "fuzz");
  const hub::Record again = hub::parse_record(hub::to_text(record), "fuzz");
  expect(again.name == record.name && again.url == record.url && again.size == record.size &&
             again.sha256 == record.sha256 && again.modified_ns == record.modified_ns,
         "a record that comes back as it was written");
}

const Registration registration({.name = "hub_record_fuzz", .run = run, .mutate = mutate_json});

}  // namespace
}  // namespace gcvit::fuzz
