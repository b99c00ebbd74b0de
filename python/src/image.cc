// SPDX-License-Identifier: Apache-2.0
#include "image.h"

#include <memory>
#include <utility>

#include <nanobind/stl/string.h>

namespace nb = nanobind;

namespace gcvit::python {

Buffer::Buffer(nb::handle object) {
  if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0) throw nb::python_error();
}

HeldImage::HeldImage(Pixels pixels, const std::string& name)
    : pixels_(std::move(pixels)),
      image_(Image::pixels(pixels_.bytes, pixels_.height, pixels_.width, {.order = pixels_.order}, name)) {}

void bind_image(nb::module_& module) {
  nb::class_<HeldImage>(module, "Image")
      .def_static("file", [](const nb::bytes& path) { return HeldImage(Image::file({path.c_str(), path.size()})); })
      .def_static("encoded",
                  [](const nb::object& bytes, const std::string& name) {
                    auto buffer = std::make_unique<Buffer>(bytes);
                    const Image image = Image::encoded(buffer->bytes(), name);
                    return HeldImage(bytes, std::move(buffer), image);
                  })
      .def_static("rgb",
                  [](const nb::object& bytes, std::int32_t height, std::int32_t width, const std::string& name) {
                    auto buffer = std::make_unique<Buffer>(bytes);
                    const std::span<const std::byte> rgb = buffer->bytes();
                    const Image image = Image::pixels({reinterpret_cast<const std::uint8_t*>(rgb.data()), rgb.size()},
                                                      height, width, name);
                    return HeldImage(bytes, std::move(buffer), image);
                  })
      .def_static("array", [](nb::handle array, const std::string& name) { return image_of_array(array, name); });
}

}  // namespace gcvit::python
