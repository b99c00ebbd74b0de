// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include "decoded_batches.h"
#include "gcvit/error.h"
#include "gcvit/session.h"
#include "image.h"
#include "model.h"
#include "of_this_process.h"
#include "predictions.h"
#include "signals.h"

namespace nb = nanobind;

namespace gcvit::python {
namespace {

constexpr std::size_t kBatch = 8;

Feature feature_of(const std::string& name) {
  constexpr std::array kFeatures = {Feature::kLevel1, Feature::kLevel2,   Feature::kLevel3,
                                    Feature::kLevel4, Feature::kFeatures, Feature::kPooled};
  const auto* const found =
      std::ranges::find(kFeatures, std::string_view(name), [](Feature one) { return name_of(one); });
  if (found == kFeatures.end()) {
    throw Error(ErrorCode::kInvalidArgument,
                "[session] layer: expected level1 to level4, features or pooled, found \"" + name + "\"");
  }
  return *found;
}

/// Sessions of a model, as many as there were calls at once. Its members are used with the GIL, computing is done without.
class Sessions {
 public:
  Sessions(const HeldModel& held, int threads) : held_(held), threads_(threads) {
    idle_->push_back(make_session());  // refuses a number of threads out of its range
  }

  nb::list classify(const HeldImage& image, int k) {
    std::vector<float> logits;
    compute([&](Session& session, const RunOptions& options) {
      logits = session.logits(session.preprocess(image.image()), options);
    });
    return predictions_of(held_.model(), logits, k);
  }

  /// Into [images, height, width, 3] floats.
  void preprocess(const nb::list& images, const nb::ndarray<float, nb::c_contig, nb::device::cpu>& out) {
    std::vector<Image> views;
    for (const nb::handle image : images) views.push_back(nb::cast<const HeldImage&>(image).image());
    const std::span<float> to(out.data(), out.size());
    compute([&](Session& session, const RunOptions&) {
      Signals signals;
      const std::size_t size = session.tensor_size();
      for (std::size_t i = 0; i < views.size(); ++i) {
        signals.check();
        session.preprocess(views[i], to.subspan(i * size, size));
      }
    });
  }

  /// Of [n, height, width, 3] floats into [n, classes].
  void logits(const nb::ndarray<const float, nb::c_contig, nb::device::cpu>& tensors,
              const nb::ndarray<float, nb::c_contig, nb::device::cpu>& out) {
    const std::span<const float> from(tensors.data(), tensors.size());
    const std::span<float> to(out.data(), out.size());
    compute([&](Session& session, const RunOptions& options) { session.logits(from, to, options); });
  }

  /// Into [images, ...] floats.
  void features(const nb::list& images, const std::string& layer,
                const nb::ndarray<float, nb::c_contig, nb::device::cpu>& out) {
    const Feature feature = feature_of(layer);
    std::vector<Image> views;
    for (const nb::handle image : images) views.push_back(nb::cast<const HeldImage&>(image).image());
    std::span<float> to(out.data(), out.size());
    compute([&](Session& session, const RunOptions& options) {
      const std::size_t values = session.shape_of(feature).size();
      DecodedBatches batches(session.model(), std::move(views), kBatch, session.threads());
      std::size_t written = 0;
      for (std::span<const float> tensors = batches.next(); !tensors.empty(); tensors = batches.next()) {
        const std::size_t size = tensors.size() / session.tensor_size() * values;
        session.features(tensors, feature, to.subspan(written, size), options);
        written += size;
      }
    });
  }

 private:
  using Idle = std::vector<std::unique_ptr<Session>>;

  /// Gives a session back when its call ends.
  struct Lease {
    Idle& idle;
    std::unique_ptr<Session> session;
    ~Lease() {
      if (session) idle.push_back(std::move(session));
    }
  };

  std::unique_ptr<Session> make_session() const {
    return std::make_unique<Session>(held_.model(), SessionOptions{.threads = held_.threads_for(threads_)});
  }

  /// Runs `work(session, options)` without the GIL; Ctrl-C ends it within a level's time.
  template <typename Work>
  void compute(const Work& work) {
    if (!idle_.is_alive()) idle_.reset(std::make_unique<Idle>());
    Lease lease{*idle_, nullptr};
    if (!idle_->empty()) {
      lease.session = std::move(idle_->back());
      idle_->pop_back();
    }
    Signals signals;
    RunOptions options{.batch = static_cast<int>(kBatch)};
    options.tap = [&](std::string_view, const ValueShape&, std::span<const float>) { signals.check(); };
    const nb::gil_scoped_release released;
    if (!lease.session) lease.session = make_session();
    work(*lease.session, options);
  }

  const HeldModel& held_;
  int threads_;
  OfThisProcess<Idle> idle_{std::make_unique<Idle>()};
};

}  // namespace

void bind_classifier(nb::module_& module) {
  nb::class_<Sessions>(module, "Sessions")
      .def(nb::init<const HeldModel&, int>(), nb::keep_alive<1, 2>())
      .def("classify", &Sessions::classify)
      .def("preprocess", &Sessions::preprocess)
      .def("logits", &Sessions::logits)
      .def("features", &Sessions::features);
}

}  // namespace gcvit::python
