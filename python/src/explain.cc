// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include "gcvit/error.h"
#include "gcvit/explain.h"
#include "image.h"
#include "model.h"
#include "of_this_process.h"
#include "signals.h"

namespace nb = nanobind;

namespace gcvit::python {
namespace {

/// A float32 array [height, width] of values that it takes over.
nb::object array_of(std::int32_t height, std::int32_t width, std::vector<float> values) {
  auto held = std::make_unique<std::vector<float>>(std::move(values));
  float* const first = held->data();
  const nb::capsule owner(held.release(), [](void* owned) noexcept { delete static_cast<std::vector<float>*>(owned); });
  return nb::cast(
      nb::ndarray<nb::numpy, float>(first, {static_cast<std::size_t>(height), static_cast<std::size_t>(width)}, owner));
}

/// Explainers of a model, as many as there were calls at once. Its members are used with the GIL, computing is done without.
class Explainers {
 public:
  Explainers(const HeldModel& held, int threads) : held_(held), threads_(threads) {}

  std::int32_t class_named(const std::string& name) {
    std::int32_t index = -1;
    compute([&](Explainer& explainer) { index = explainer.class_named(name); });
    return index;
  }

  Explanation grad_cam(const HeldImage& image, std::optional<std::int32_t> target, bool probability,
                       std::int32_t level) {
    return explain(image, [&](Explainer& explainer, const std::vector<float>& tensor) {
      return explainer.grad_cam(tensor, {.target = target, .score = score_of(probability), .level = level});
    });
  }

  Explanation attention(const HeldImage& image, std::int32_t level, std::optional<std::int32_t> block,
                        std::optional<std::int32_t> head,
                        const std::optional<std::pair<std::int32_t, std::int32_t>>& query) {
    AttentionOptions options{.level = level, .block = block, .head = head};
    if (query) options.query = MapCell{query->first, query->second};
    return explain(image, [&](Explainer& explainer, const std::vector<float>& tensor) {
      return explainer.attention(tensor, options);
    });
  }

  Explanation occlusion(const HeldImage& image, std::optional<std::int32_t> target, bool probability,
                        std::int32_t patch, std::int32_t stride, const nb::object& progress) {
    Signals signals;
    OcclusionOptions options{.target = target, .score = score_of(probability), .patch = patch, .stride = stride};
    options.progress = [&](std::size_t done, std::size_t patches) {
      signals.check();
      if (progress.is_none()) return;
      const nb::gil_scoped_acquire gil;
      progress(done, patches);
    };
    return explain(image, [&](Explainer& explainer, const std::vector<float>& tensor) {
      return explainer.occlusion(tensor, options);
    });
  }

 private:
  using Idle = std::vector<std::unique_ptr<Explainer>>;

  static ExplainedScore score_of(bool probability) {
    return probability ? ExplainedScore::kProbability : ExplainedScore::kLogit;
  }

  /// Gives an explainer back when its call ends.
  struct Lease {
    Idle& idle;
    std::unique_ptr<Explainer> explainer;
    ~Lease() {
      if (explainer) idle.push_back(std::move(explainer));
    }
  };

  /// Runs `work(explainer)` without the GIL.
  template <typename Work>
  void compute(const Work& work) {
    if (!idle_.is_alive()) idle_.reset(std::make_unique<Idle>());
    Lease lease{*idle_, nullptr};
    if (!idle_->empty()) {
      lease.explainer = std::move(idle_->back());
      idle_->pop_back();
    }
    const nb::gil_scoped_release released;
    if (!lease.explainer) {
      lease.explainer =
          std::make_unique<Explainer>(held_.model(), SessionOptions{.threads = held_.threads_for(threads_)});
    }
    work(*lease.explainer);
  }

  template <typename Method>
  Explanation explain(const HeldImage& image, const Method& method) {
    Explanation result;
    compute([&](Explainer& explainer) { result = method(explainer, explainer.session().preprocess(image.image())); });
    return result;
  }

  const HeldModel& held_;
  int threads_;
  OfThisProcess<Idle> idle_{std::make_unique<Idle>()};
};

}  // namespace

void bind_explain(nb::module_& module) {
  nb::class_<Explanation>(module, "Explanation")
      .def_prop_ro("method", [](const Explanation& one) { return std::string(name_of(one.method)); })
      .def_ro("index", &Explanation::index)
      .def_ro("label", &Explanation::label)
      .def_prop_ro("of", [](const Explanation& one) { return std::string(name_of(one.of)); })
      .def_ro("score", &Explanation::score)
      .def_ro("level", &Explanation::level)
      .def_ro("lowest", &Explanation::lowest)
      .def_ro("highest", &Explanation::highest)
      .def_ro("empty", &Explanation::empty)
      .def("cells", [](const Explanation& one) { return array_of(one.map.height, one.map.width, one.map.values); });
  nb::class_<Explainers>(module, "Explainers")
      .def(nb::init<const HeldModel&, int>(), nb::keep_alive<1, 2>())
      .def("class_named", &Explainers::class_named)
      .def("grad_cam", &Explainers::grad_cam, nb::arg("image"), nb::arg("target").none(), nb::arg("probability"),
           nb::arg("level"))
      .def("attention", &Explainers::attention, nb::arg("image"), nb::arg("level"), nb::arg("block").none(),
           nb::arg("head").none(), nb::arg("query").none())
      .def("occlusion", &Explainers::occlusion, nb::arg("image"), nb::arg("target").none(), nb::arg("probability"),
           nb::arg("patch"), nb::arg("stride"), nb::arg("progress").none());
}

}  // namespace gcvit::python
