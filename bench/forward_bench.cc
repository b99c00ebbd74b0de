// SPDX-License-Identifier: Apache-2.0
// Whole forward passes on random weights and images.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "bench/meter.h"
#include "model/config.h"
#include "model/gcvit.h"
#include "model/initialise.h"
#include "native/native_backend.h"
#include "ops/executor.h"
#include "summary/summary_backend.h"

namespace gcvit::bench {
namespace {

void forward(benchmark::State& state, std::string_view variant) {
  const auto batch = static_cast<std::int32_t>(state.range(0));
  model::GCViT model(model::variant_config(variant));
  model::initialise(model, 0);
  const ops::Shape shape{model.config().image_height, model.config().image_width, 3};
  summary::SummaryBackend summary;
  model.forward(summary, summary.input(shape));
  const std::vector<float> images = random_values(batch * shape.size(), 1);

  ThreadPool pool(static_cast<int>(state.range(1)));
  const std::unique_ptr<ops::Executor> executor = std::make_unique<native::NativeBackend>(pool);
  const auto run = [&] {
    executor->start(batch);
    benchmark::DoNotOptimize(model.forward(*executor, executor->input(shape, images)));
  };
  run();  // packs the weights and takes the buffers
  Meter(pool).run(state, 2.0 * static_cast<double>(summary.macs() * batch), run);
  state.SetItemsProcessed(state.iterations() * batch);
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"batch", "threads"})->ArgsProduct({{1, 8}, {1, 2}});
  benchmark->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(forward, xxtiny, "xxtiny")->Apply(sizes);
BENCHMARK_CAPTURE(forward, tiny, "tiny")->Apply(sizes);

}  // namespace
}  // namespace gcvit::bench
