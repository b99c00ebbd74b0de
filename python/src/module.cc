// SPDX-License-Identifier: Apache-2.0
// The extension module _gcvit: what gcvit_cpp's Python files are written on. Its functions check no types beyond what the compiler
// needs; users see gcvit_cpp.
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "errors.h"
#include "gcvit/session.h"
#include "gcvit/version.h"
#include "image.h"
#include "model.h"
#include "signals.h"

namespace nb = nanobind;

namespace gcvit::python {
namespace {

/// A `Model` by `open(options)`, without the GIL; Ctrl-C ends it.
template <typename Open>
HeldModel opened(Precision precision, int threads, bool keep_parameters, const Open& open) {
  Signals signals;
  ModelOptions options{.precision = precision, .threads = threads, .keep_parameters = keep_parameters};
  options.progress = [&](double) { signals.check(); };
  const nb::gil_scoped_release released;
  return HeldModel(open(options));
}

nb::dict shapes_of(const HeldModel& held) {
  const Session session(held.model(), {.threads = 1});
  nb::dict shapes;
  for (const Feature feature :
       {Feature::kLevel1, Feature::kLevel2, Feature::kLevel3, Feature::kLevel4, Feature::kFeatures, Feature::kPooled}) {
    const ValueShape shape = session.shape_of(feature);
    const std::string name(name_of(feature));
    if (feature == Feature::kPooled) {
      shapes[name.c_str()] = nb::make_tuple(shape.channels);
    } else {
      shapes[name.c_str()] = nb::make_tuple(shape.height, shape.width, shape.channels);
    }
  }
  return shapes;
}

nb::object parameter_of(const HeldModel& held, const ParameterInfo& info) {
  auto values = std::make_unique<std::vector<float>>(held.model().parameter(info.name));
  const std::vector<std::size_t> dims(info.dims.begin(), info.dims.end());
  const float* const first = values->data();
  const nb::capsule owner(values.release(),
                          [](void* owned) noexcept { delete static_cast<std::vector<float>*>(owned); });
  return nb::cast(nb::ndarray<nb::numpy, const float>(first, dims.size(), dims.data(), owner));
}

}  // namespace

nb::object error_of(ErrorCode code, const std::string& sentence) {
  return nb::module_::import_("gcvit_cpp._errors").attr("error_of")(std::string(name_of(code)), sentence);
}

void bind_model(nb::module_& module) {
  nb::enum_<Precision>(module, "Precision")
      .value("auto", Precision::kAuto)
      .value("f32", Precision::kF32)
      .value("bf16", Precision::kBf16)
      .value("int8", Precision::kInt8);
  nb::class_<HeldModel>(module, "Model")
      .def_static("open_file",
                  [](const nb::bytes& path, Precision precision, int threads, bool keep_parameters) {
                    const std::string file(path.c_str(), path.size());
                    return opened(precision, threads, keep_parameters,
                                  [&](const ModelOptions& options) { return Model::open(file, options); });
                  })
      .def_static("open_bytes",
                  [](const nb::object& bytes, Precision precision, int threads, bool keep_parameters) {
                    const Buffer buffer(bytes);
                    return opened(precision, threads, keep_parameters, [&](const ModelOptions& options) {
                      return Model::open(buffer.bytes(), "model", options);
                    });
                  })
      .def_prop_ro(
          "image_size",
          [](const HeldModel& held) { return nb::make_tuple(held.model().image_height(), held.model().image_width()); })
      .def_prop_ro("labels", [](const HeldModel& held) { return held.model().labels(); })
      .def_prop_ro("preprocessing", [](const HeldModel& held) { return held.model().preprocessing(); })
      .def_prop_ro("file", [](const HeldModel& held) { return held.model().file(); })
      .def_prop_ro("format", [](const HeldModel& held) { return held.model().format(); })
      .def_prop_ro("layout", [](const HeldModel& held) { return held.model().layout(); })
      .def_prop_ro("notices", [](const HeldModel& held) { return held.model().notices(); })
      .def_prop_ro("precision", [](const HeldModel& held) { return held.model().precision(); })
      .def_prop_ro("threads", [](const HeldModel& held) { return held.model().threads(); })
      .def_prop_ro("shapes", &shapes_of)
      .def_prop_ro("dims",
                   [](const HeldModel& held) {
                     nb::dict dims;
                     for (const ParameterInfo& info : held.model().parameters()) {
                       dims[info.name.c_str()] = nb::tuple(nb::cast(info.dims));
                     }
                     return dims;
                   })
      .def("state_dict", [](const HeldModel& held) {
        nb::dict values;
        for (const ParameterInfo& info : held.model().parameters()) {
          values[info.name.c_str()] = parameter_of(held, info);
        }
        return values;
      });
}

}  // namespace gcvit::python

NB_MODULE(_gcvit, module) {
  using namespace gcvit::python;
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const gcvit::Error& error) {
      const nb::object object = error_of(error.code(), error.what());
      PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())), object.ptr());
    }
  });
  module.attr("version") = GCVIT_VERSION;
  bind_image(module);
  bind_model(module);
  bind_classifier(module);
  bind_explain(module);
  bind_stream(module);
}
