// SPDX-License-Identifier: Apache-2.0
#include "serve/metrics.h"

#include <gtest/gtest.h>

#include <sstream>

namespace gcvit::serve {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Metrics, CountAndTime) {
  Metrics metrics;
  metrics.count_request("/v2", 200, 0.002);
  metrics.count_request("/v2", 200, 20.0);
  metrics.count_request("none", 404, 0.0001);
  metrics.count_error("no_route");
  metrics.add_stage(Stage::kCompute, 0.025);
  metrics.add_batch("m\"\\\n", 3);
  metrics.count_reload(true);
  metrics.connections = 4;
  const std::vector<QueueLengths> queues = {{.model = "m", .images = 7, .explanations = 2}};
  const std::string text = metrics.text(queues);
  for (const char* const line :
       {"gcvit_requests_total{route=\"/v2\",status=\"200\"} 2", "gcvit_requests_total{route=\"none\",status=\"404\"} 1",
        "gcvit_errors_total{reason=\"no_route\"} 1", "gcvit_request_seconds_bucket{le=\"0.0005\"} 1",
        "gcvit_request_seconds_bucket{le=\"0.001\"} 1", "gcvit_request_seconds_bucket{le=\"0.0025\"} 2",
        "gcvit_request_seconds_bucket{le=\"10\"} 2", "gcvit_request_seconds_bucket{le=\"+Inf\"} 3",
        "gcvit_request_seconds_count 3", "gcvit_stage_seconds_bucket{stage=\"compute\",le=\"0.025\"} 1",
        "gcvit_stage_seconds_bucket{stage=\"compute\",le=\"0.01\"} 0", "gcvit_stage_seconds_count{stage=\"queue\"} 0",
        "gcvit_batch_images_bucket{model=\"m\\\"\\\\\\n\",le=\"4\"} 1",
        "gcvit_batch_images_sum{model=\"m\\\"\\\\\\n\"} 3", "gcvit_queue_images{model=\"m\"} 7",
        "gcvit_explain_queue{model=\"m\"} 2", "gcvit_connections 4", "gcvit_reloads_total{result=\"succeeded\"} 1",
        "gcvit_reloads_total{result=\"failed\"} 0"}) {
    EXPECT_TRUE(has_line(text, line)) << line << "\nin\n" << text;
  }
}

TEST(Metrics, AreInPrometheusFormat) {
  Metrics metrics;
  metrics.count_request("/v2", 200, 0.002);
  std::istringstream lines(metrics.text({}));
  std::string family;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_TRUE(line.starts_with("# TYPE " + family + " ")) << line;
    } else {
      EXPECT_TRUE(line.starts_with(family)) << line;
      EXPECT_NO_THROW(static_cast<void>(std::stod(line.substr(line.rfind(' '))))) << line;
    }
  }
}

}  // namespace
}  // namespace gcvit::serve
