// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include "errors.h"
#include "gcvit/pipeline.h"
#include "image.h"
#include "model.h"
#include "of_this_process.h"
#include "predictions.h"
#include "signals.h"

namespace nb = nanobind;

namespace gcvit::python {
namespace {

/// Results on their way from the pipeline's thread to Python's.
class Results {
 public:
  void push(ImageLogits result) {
    {
      const std::scoped_lock lock(mutex_);
      results_.push_back(std::move(result));
    }
    pushed_.notify_one();
  }

  /// Waits without the GIL, which the caller holds; Ctrl-C ends it.
  ImageLogits pop() {
    Signals signals;
    const nb::gil_scoped_release released;
    std::unique_lock lock(mutex_);
    while (!pushed_.wait_for(lock, kBetweenSignals, [&] { return !results_.empty(); })) {
      lock.unlock();
      signals.check();
      lock.lock();
    }
    ImageLogits result = std::move(results_.front());
    results_.pop_front();
    return result;
  }

 private:
  std::mutex mutex_;
  std::condition_variable pushed_;
  std::deque<ImageLogits> results_;
};

/// Images in, results out in their order. The caller keeps no more than `capacity` images inside, so that `submit` never waits.
class Stream {
 public:
  /// At most `batch` images go through the model together.
  Stream(const HeldModel& held, int threads, int batch) : held_(held), pipeline_(nullptr) {
    const int own = held.threads_for(threads);
    const int decoding = own == 0 ? held.model().threads() : own;
    capacity_ = 2 * static_cast<std::size_t>(batch) + static_cast<std::size_t>(std::max(decoding, 0));
    pipeline_.reset(std::make_unique<Pipeline>(held.model(),
                                               PipelineOptions{.batch = batch, .threads = own, .capacity = capacity_}));
  }
  ~Stream() { close(); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  std::size_t capacity() const { return capacity_; }

  void submit(const nb::object& image) {
    pipeline().submit(nb::cast<const HeldImage&>(image).image(),
                      [results = results_](ImageLogits result) { results->push(std::move(result)); });
    inside_.push_back(image);
  }

  /// The `k` best classes of the next image, or its exception.
  nb::object next(int k) {
    const ImageLogits result = pop();
    if (!result.error.empty()) return error_of(result.code, result.error);
    return predictions_of(held_.model(), result.logits, k);
  }

  /// Its probabilities into `out`, or its exception.
  nb::object next_probabilities(const nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>& out) {
    const ImageLogits result = pop();
    if (!result.error.empty()) return error_of(result.code, result.error);
    held_.model().probabilities(result.logits, {out.data(), out.size()});
    return nb::none();
  }

  /// Gives up what hasn't been computed.
  void close() {
    if (pipeline_.is_alive()) {
      const nb::gil_scoped_release released;
      pipeline_.reset();
    } else {
      pipeline_.reset();
    }
    inside_.clear();
  }

 private:
  Pipeline& pipeline() {
    if (pipeline_.get() == nullptr || !pipeline_.is_alive()) {
      throw std::runtime_error("[pipeline] this stream is closed, or of another process");
    }
    return *pipeline_;
  }

  ImageLogits pop() {
    static_cast<void>(pipeline());
    if (inside_.empty()) throw std::runtime_error("[pipeline] no image is inside");
    ImageLogits result = results_->pop();
    inside_.pop_front();
    return result;
  }

  const HeldModel& held_;
  std::size_t capacity_ = 0;
  std::shared_ptr<Results> results_ = std::make_shared<Results>();
  std::deque<nb::object> inside_;  ///< whose memory the pipeline reads
  OfThisProcess<Pipeline> pipeline_;
};

}  // namespace

void bind_stream(nb::module_& module) {
  nb::class_<Stream>(module, "Stream")
      .def(nb::init<const HeldModel&, int, int>(), nb::keep_alive<1, 2>())
      .def_prop_ro("capacity", &Stream::capacity)
      .def("submit", &Stream::submit)
      .def("next", &Stream::next)
      .def("next_probabilities", &Stream::next_probabilities)
      .def("close", &Stream::close);
}

}  // namespace gcvit::python
