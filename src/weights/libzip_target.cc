// SPDX-License-Identifier: Apache-2.0
#include "weights/libzip_target.h"

#include <algorithm>

namespace gcvit::weights {

zip_int64_t LibzipTarget::call(void* self, void* data, zip_uint64_t size, zip_source_cmd_t command) {
  return static_cast<LibzipTarget*>(self)->answer(data, size, command);
}

void LibzipTarget::rethrow() const {
  if (thrown_) std::rethrow_exception(thrown_);
}

zip_int64_t LibzipTarget::answer(void* data, zip_uint64_t size, zip_source_cmd_t command) {
  switch (command) {
    case ZIP_SOURCE_SUPPORTS:  // all that libzip asks of a target that can be sought in
      return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                            ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL,
                                            ZIP_SOURCE_SUPPORTS, ZIP_SOURCE_BEGIN_WRITE, ZIP_SOURCE_COMMIT_WRITE,
                                            ZIP_SOURCE_ROLLBACK_WRITE, ZIP_SOURCE_WRITE, ZIP_SOURCE_SEEK_WRITE,
                                            ZIP_SOURCE_TELL_WRITE, ZIP_SOURCE_REMOVE, -1);
    case ZIP_SOURCE_STAT: {  // an empty file
      auto* const status = static_cast<zip_stat_t*>(data);
      zip_stat_init(status);
      status->valid = ZIP_STAT_SIZE;
      status->size = 0;
      return sizeof(*status);
    }
    case ZIP_SOURCE_BEGIN_WRITE: place_ = end_ = 0; return 0;
    case ZIP_SOURCE_WRITE: return write({static_cast<const std::byte*>(data), size});
    case ZIP_SOURCE_SEEK_WRITE: {
      const zip_int64_t place = zip_source_seek_compute_offset(place_, end_, data, size, &error_);
      if (place < 0) return -1;
      place_ = static_cast<std::uint64_t>(place);
      return 0;
    }
    case ZIP_SOURCE_TELL_WRITE: return static_cast<zip_int64_t>(place_);
    case ZIP_SOURCE_ERROR: return zip_error_to_data(&error_, data, size);
    default: return 0;
  }
}

zip_int64_t LibzipTarget::write(std::span<const std::byte> bytes) {
  try {
    file_.write_at(place_, bytes);
  } catch (...) {
    thrown_ = std::current_exception();
    zip_error_set(&error_, ZIP_ER_WRITE, 0);
    return -1;
  }
  place_ += bytes.size();
  end_ = std::max(end_, place_);
  return static_cast<zip_int64_t>(bytes.size());
}

}  // namespace gcvit::weights
