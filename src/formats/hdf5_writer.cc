// SPDX-License-Identifier: Apache-2.0
#include "formats/hdf5_writer.h"

#include <hdf5.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"

namespace gcvit::formats {
namespace {

/// An object of libhdf5, closed at the end. Closing a file can fail: `close()` says so.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t), const std::string& path) : id_(id), close_(close), path_(path) { check(id); }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  operator hid_t() const { return id_; }
  void close() { check(close_(std::exchange(id_, -1))); }
  void check(std::int64_t result) const {
    if (result < 0) fail("[hdf5] {}: can't be written", path_);
  }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
  const std::string& path_;
};

/// Where a superblock of version 0 says that a file is open for writing, and what stands there once it is closed.
constexpr std::uint64_t kConsistencyFlags = 20;
constexpr std::array<std::byte, 4> kClosed{};

void write_dataset(const Handle& file, const Handle& links, const Handle& without_times, const std::string& name,
                   const Tensor& tensor, const std::string& path) {
  std::vector<hsize_t> dims;
  for (const std::int64_t axis : tensor.dims()) dims.push_back(static_cast<hsize_t>(axis));
  const Handle space(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose, path);
  const Handle dataset(H5Dcreate2(file, name.c_str(), H5T_IEEE_F32LE, space, links, without_times, H5P_DEFAULT),
                       H5Dclose, path);
  dataset.check(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor.values().data()));
}

/// The bytes of a file in memory, valid until it is changed or closed.
std::span<const std::byte> image_of(const Handle& file) {
  file.check(H5Fflush(file, H5F_SCOPE_GLOBAL));
  const ssize_t size = H5Fget_file_image(file, nullptr, 0);
  file.check(size);
  void* memory = nullptr;  // where the driver keeps the address of the bytes
  file.check(H5Fget_vfd_handle(file, H5P_DEFAULT, &memory));
  return {*static_cast<const std::byte* const*>(memory), static_cast<std::size_t>(size)};
}

}  // namespace

void write_hdf5(const std::string& path, const Hdf5Datasets& datasets) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // failures are told by our own sentences
  AtomicFile atomic(path);
  // libhdf5 writes into memory: a file that it can't write it can't close either, and then it fails once more when the
  // process ends.
  constexpr std::size_t kGrowth = std::size_t{1} << 20;
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, path);
  access.check(H5Pset_fapl_core(access, kGrowth, false));
  access.check(H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST));
  const std::string no_file = path + "/image";  // libhdf5 would look into a file of the name that it is given
  Handle file(H5Fcreate(no_file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access), H5Fclose, path);
  {
    const Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose, path);
    links.check(H5Pset_create_intermediate_group(links, 1));
    const Handle without_times(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, path);
    without_times.check(H5Pset_obj_track_times(without_times, false));
    for (const auto& [name, make] : datasets) write_dataset(file, links, without_times, name, make(), path);
  }
  atomic.write(image_of(file));
  atomic.write_at(kConsistencyFlags, kClosed);
  file.close();
  atomic.commit();
}

}  // namespace gcvit::formats
