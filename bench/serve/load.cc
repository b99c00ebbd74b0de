// SPDX-License-Identifier: Apache-2.0
// Measures a server of HTTP: what the scripts here ask it with. Prints one JSON object.
//
//   serve_load open    requests at the times of a Poisson process
//   serve_load closed  connections that ask all the time
//   serve_load hold    connections that ask nothing, or do it very slowly
//
// A request file holds the bytes of a whole HTTP request. Answers are compared with those in the folder of --expect; without it each request
// is asked once before the measuring, and its answers are compared with that one.
#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "generator.h"
#include "holder.h"

namespace gcvit::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  LoadOptions load;
  HoldOptions hold;
  std::vector<std::string> requests;
  std::string expect;  // folder
  std::string samples;  // file
};

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("[load] {}: can't be read", path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The distribution of times, in milliseconds.
Json summary(std::vector<double> seconds) {
  if (seconds.empty()) return nullptr;
  std::ranges::sort(seconds);
  Json result;
  for (const auto& [name, share] :
       {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1.0}}) {
    const double position = share * static_cast<double>(seconds.size() - 1);
    result[name] = 1e3 * seconds[static_cast<std::size_t>(position + 0.5)];
  }
  return result;
}

Json json_of(const LoadOptions& options, const LoadReport& report) {
  static constexpr const char* kOutcomes[] = {"answered", "wrong", "lost", "cut", "unconnected", "unanswered"};
  std::map<std::string, std::size_t> outcomes;
  for (const char* name : kOutcomes) outcomes[name] = 0;
  std::map<std::string, std::size_t> statuses;
  std::vector<double> good;
  std::vector<double> refused;
  std::vector<double> late;
  for (const Sample& sample : report.samples) {
    ++outcomes[kOutcomes[static_cast<int>(sample.outcome)]];
    late.push_back(sample.late);
    if (sample.outcome != Outcome::kAnswered) continue;
    ++statuses[std::to_string(sample.status)];
    (sample.status == 200 ? good : refused).push_back(sample.latency);
  }
  Json result = {{"rate", options.rate}, {"seconds", report.seconds}, {"requests", report.samples.size()}};
  result["outcomes"] = outcomes;
  result["statuses"] = statuses;
  result["goodput"] = static_cast<double>(report.good) / report.seconds;
  result["latency_ms"] = summary(good);
  result["refusal_ms"] = summary(refused);
  result["late_ms"] = summary(late);
  result["connections"] = report.connections;
  result["generator_cpu"] = report.own_cpu / report.seconds;
  result["server_cpu"] = report.processes_cpu / report.seconds;
  return result;
}

void write_samples(const std::string& path, const LoadReport& report) {
  std::ofstream file(path);
  file << "intended,late,latency,request,status\n";
  for (const Sample& one : report.samples) {
    file << fmt::format("{:.6f},{:.6f},{:.6f},{},{}\n", one.intended, one.late, one.latency, one.request, one.status);
  }
  if (!file.flush()) fail("[load] {}: can't be written", path);
}

void measure(Arguments& arguments) {
  LoadOptions& options = arguments.load;
  for (std::size_t i = 0; i < arguments.requests.size(); ++i) {
    options.requests.push_back(read_file(arguments.requests[i]));
    options.expected.push_back(arguments.expect.empty()
                                   ? ask(options, options.requests.back())
                                   : read_file(std::filesystem::path(arguments.expect) / std::to_string(i)));
  }
  const LoadReport report = Generator(options).run();
  if (!arguments.samples.empty()) write_samples(arguments.samples, report);
  std::cout << json_of(options, report).dump() << std::endl;
}

void print_hold(const HoldOptions& options) {
  const HoldReport report = hold(options);
  std::cout << Json{{"opened", report.opened}, {"closed", report.closed}, {"open", report.open}}.dump() << std::endl;
}

void add_load_options(CLI::App& app, Arguments& arguments) {
  static const std::map<std::string, Check> kChecks = {
      {"exact", Check::kExact}, {"label", Check::kLabel}, {"none", Check::kNone}};
  app.add_option("--port", arguments.load.port)->required();
  app.add_option("--request", arguments.requests, "Files with a whole HTTP request each")->required();
  app.add_option("--check", arguments.load.check, "What of an answer must be as in the first one")
      ->transform(CLI::CheckedTransformer(kChecks));
  app.add_option("--warm-up", arguments.load.warm_up, "Seconds that aren't measured")->capture_default_str();
  app.add_option("--seconds", arguments.load.seconds, "Seconds that are")->capture_default_str();
  app.add_option("--patience", arguments.load.patience, "Seconds for the last answers")->capture_default_str();
  app.add_option("--seed", arguments.load.seed)->capture_default_str();
  app.add_option("--pid", arguments.load.processes, "Processes whose CPU time is taken");
  app.add_option("--expect", arguments.expect, "Folder with the expected answers' bodies, in files 0, 1, ...");
  app.add_option("--samples", arguments.samples, "File to which each request's times are written, as CSV");
}

/// On the cores that the server computes on, a client that waits for its turn would measure itself. Only root may run before all others;
/// whoever may not is late, and the results say how much.
void run_before_others() {
  const sched_param lowest = {.sched_priority = sched_get_priority_min(SCHED_FIFO)};
  static_cast<void>(sched_setscheduler(0, SCHED_FIFO, &lowest));
}

int run(int count, char** words) {
  raise_descriptor_limit();
  run_before_others();
  Arguments arguments;
  CLI::App program("Measures a server of HTTP");
  program.require_subcommand(1);
  CLI::App* const open = program.add_subcommand("open", "Requests at the times of a Poisson process");
  add_load_options(*open, arguments);
  open->add_option("--rate", arguments.load.rate, "Requests a second")->required()->check(CLI::PositiveNumber);
  open->add_option("--connections", arguments.load.connections, "Most at one time")->capture_default_str();
  CLI::App* const closed = program.add_subcommand("closed", "Connections that ask all the time");
  add_load_options(*closed, arguments);
  closed->add_option("--connections", arguments.load.connections)->required();
  CLI::App* const held = program.add_subcommand("hold", "Connections that ask nothing, or very slowly");
  held->add_option("--port", arguments.hold.port)->required();
  held->add_option("--connections", arguments.hold.connections)->capture_default_str();
  held->add_option("--drip", arguments.hold.drip, "Seconds between two bytes of a head that never ends; 0: no bytes")
      ->capture_default_str();
  try {
    program.parse(count, words);
  } catch (const CLI::ParseError& error) {
    return program.exit(error);
  }
  if (held->parsed()) {
    print_hold(arguments.hold);
  } else {
    measure(arguments);
  }
  return 0;
}

}  // namespace
}  // namespace gcvit::bench

int main(int count, char** words) try { return gcvit::bench::run(count, words); } catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
