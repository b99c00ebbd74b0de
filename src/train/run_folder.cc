// SPDX-License-Identifier: Apache-2.0
#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>

#include "tensor/error.h"

namespace gcvit::train {
namespace {

namespace fs = std::filesystem;

/// Temporaries of files that appear whole (tensor/atomic_file.h).
void remove_half_written(const fs::path& folder) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".part") fs::remove(entry.path(), error);
  }
}

}  // namespace

RunFolder::RunFolder(const std::string& path) : path_(path) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  std::error_code error;
  const fs::path checkpoint = fs::path(path_) / "checkpoint";
  fs::create_directories(checkpoint, error);
  if (error) fail("[train] {}: the folder can't be made: {}", path_, error.message());
  lock_ = ::open((checkpoint / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0) fail("[train] {}: can't be written: {}", path_, std::generic_category().message(errno));
  // A run that was killed holds it until the system has cleared it away.
  int locked = ::flock(lock_, LOCK_EX | LOCK_NB);
  for (int tries = 0; tries < 40 && locked != 0 && errno == EWOULDBLOCK; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    locked = ::flock(lock_, LOCK_EX | LOCK_NB);
  }
  if (locked != 0) {
    const int reason = errno;
    ::close(lock_);
    if (reason == EWOULDBLOCK) fail("[train] {}: another process trains in this folder", path_);
    lock_ = -1;  // a file system without locks
  }
  remove_half_written(path_);
  remove_half_written(checkpoint);
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

bool holds_run(const std::string& path) {
  std::error_code error;
  return fs::exists(fs::path(path) / "checkpoint" / "state.safetensors", error);
}

}  // namespace gcvit::train
