// SPDX-License-Identifier: Apache-2.0
// The same photos through the same pipeline as the server's, in one process and without HTTP: what the scripts here hold the server
// against. A line in, a line out:
//
//   run SECONDS      pushes photos all the time; answers "speed" with photos a second, CPU seconds a second
//   decode SECONDS   answers "times": seconds to decode and preprocess, of one photo after the other in turn, on one thread
//   batch N SECONDS  answers "times": seconds of the model for N photos at once
//
// serve_pipeline MODEL DTYPE THREADS MAX_BATCH QUEUE PHOTO...
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "gcvit/image.h"
#include "gcvit/model.h"
#include "gcvit/session.h"
#include "image/preprocess.h"
#include "inference/image_pipeline.h"
#include "inference/precision.h"
#include "inference/preparation.h"
#include "inference/session_state.h"

namespace {

using namespace gcvit;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double cpu_seconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

struct Options {
  std::string model;
  std::string dtype;
  int threads = 0;
  int max_batch = 0;
  std::size_t queue = 0;
  std::vector<std::string> photos;
};

class Worker {
 public:
  explicit Worker(const Options& options) : options_(options), session_(open(options)) {
    for (const std::string& photo : options.photos) photos_.push_back(read(photo));
  }

  void run(double seconds) {
    inference::ImagePipeline pipeline(session_.state(),
                                      {.batch = options_.max_batch, .capacity = options_.queue + 1, .in_order = false});
    std::size_t submitted = 0;
    std::atomic<std::size_t> delivered = 0;
    const auto submit_until = [&](Clock::time_point begin, double most) {
      while (seconds_since(begin) < most) pipeline.submit(job(submitted++, delivered), true);
    };
    submit_until(Clock::now(), std::min(1.0, seconds / 4));  // until the queue is full
    const Clock::time_point begin = Clock::now();
    const double cpu = cpu_seconds();
    const std::size_t before = delivered;
    submit_until(begin, seconds);
    const double taken = seconds_since(begin);
    const std::size_t after = delivered;
    std::cout << "speed " << static_cast<double>(after - before) / taken << ' ' << (cpu_seconds() - cpu) / taken
              << std::endl;
    pipeline.cancel();
  }

  void decode(double seconds) {
    image::PreprocessScratch scratch;
    std::vector<float> tensor(session_.state().preparation.tensor_size());
    std::vector<double> times;
    const Clock::time_point begin = Clock::now();
    for (std::size_t i = 0; seconds_since(begin) < seconds || i % photos_.size() != 0; ++i) {
      const Clock::time_point start = Clock::now();
      prepare(photos_[i % photos_.size()], tensor, scratch);
      times.push_back(seconds_since(start));
    }
    print(times);
  }

  void batch(std::size_t images, double seconds) {
    image::PreprocessScratch scratch;
    const std::size_t size = session_.state().preparation.tensor_size();
    std::vector<float> tensors(images * size);
    for (std::size_t i = 0; i < images; ++i) {
      prepare(photos_[i % photos_.size()], std::span(tensors).subspan(i * size, size), scratch);
    }
    session_.state().engine.run(tensors);
    std::vector<double> times;
    const Clock::time_point begin = Clock::now();
    do {
      const Clock::time_point start = Clock::now();
      session_.state().engine.run(tensors);
      times.push_back(seconds_since(start));
    } while (seconds_since(begin) < seconds);
    print(times);
  }

 private:
  static Session open(const Options& options) {
    ModelOptions opening;
    opening.threads = options.threads;
    for (const Precision one : {Precision::kF32, Precision::kBf16, Precision::kInt8}) {
      if (options.dtype == inference::name_of(one)) opening.precision = one;
    }
    return Session(Model::open(options.model, opening), {});
  }

  static Image read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail("[serve_pipeline] {}: can't be read", path);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    const std::span<const std::byte> view = std::as_bytes(std::span(bytes));
    return Image::encoded(std::vector<std::byte>(view.begin(), view.end()), path);
  }

  void prepare(const Image& photo, std::span<float> tensor, image::PreprocessScratch& scratch) {
    const inference::Preparation& preparation = session_.state().preparation;
    image::preprocess(inference::decode(photo, preparation.decode), preparation.preprocess, tensor, scratch);
  }

  inference::Job job(std::size_t number, std::atomic<std::size_t>& delivered) {
    const Image& photo = photos_[number % photos_.size()];
    return {.decode = {},
            .prepare = [this, &photo](std::span<float> tensor,
                                      image::PreprocessScratch& scratch) { prepare(photo, tensor, scratch); },
            .name = photo.name(),
            .done = [&delivered](const ImageLogits&, const std::exception_ptr&) { ++delivered; }};
  }

  static void print(const std::vector<double>& times) {
    std::cout << "times";
    for (const double time : times) std::cout << ' ' << time;
    std::cout << std::endl;
  }

  Options options_;
  Session session_;
  std::vector<Image> photos_;
};

}  // namespace

int main(int count, char** words) try {
  if (count < 7) fail("[serve_pipeline] expected MODEL DTYPE THREADS MAX_BATCH QUEUE PHOTO...");
  Worker worker({.model = words[1],
                 .dtype = words[2],
                 .threads = std::stoi(words[3]),
                 .max_batch = std::stoi(words[4]),
                 .queue = static_cast<std::size_t>(std::stoul(words[5])),
                 .photos = {words + 6, words + count}});
  std::string command;
  while (std::cin >> command) {
    double seconds = 0.0;
    std::size_t images = 0;
    if (command == "run" && std::cin >> seconds) {
      worker.run(seconds);
    } else if (command == "decode" && std::cin >> seconds) {
      worker.decode(seconds);
    } else if (command == "batch" && std::cin >> images >> seconds) {
      worker.batch(images, seconds);
    } else {
      fail("[serve_pipeline] stdin: expected run, decode or batch, found \"{}\"", command);
    }
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
