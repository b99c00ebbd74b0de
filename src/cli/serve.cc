// SPDX-License-Identifier: Apache-2.0
// gcvit serve: models behind HTTP.
#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "inference/bundled_model.h"
#include "inference/run_images.h"
#include "serve/probe.h"
#include "serve/server.h"
#include "serve/service.h"
#include "serve/service_manager.h"

namespace gcvit::cli {
namespace {

constexpr std::chrono::milliseconds kSignalPoll{100};
constexpr std::chrono::milliseconds kProbePatience{3'000};

struct Options {
  ModelArguments arguments;
  std::vector<std::string> models;
  std::string probed;  // URL
  std::string key_file;
  bool allow_anonymous = false;
  serve::TlsFiles tls;
  serve::ListenerOptions listener;
  std::string metrics = "on";
  std::string explain = "on";
  bool page = true;
  double max_delay = 0.0;  // ms
  std::int64_t deadline = 10'000;
  std::int64_t drain_limit = 30'000;
  serve::ServiceOptions service;
  serve::ServerOptions server;
};

/// Blocks the signals that the server waits for, in this thread and all that it starts.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

/// The next of the signals, or 0 when none came for a while.
int next_signal(const sigset_t& signals) {
  const timespec patience = {.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(kSignalPoll).count()};
  const int signal = sigtimedwait(&signals, nullptr, &patience);
  return signal < 0 ? 0 : signal;
}

/// A connection takes a descriptor.
void raise_descriptor_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

serve::ServiceOptions service_options(const Options& options) {
  const ClassifierOptions chosen = options.arguments.classifier_options();
  serve::ServiceOptions service = options.service;
  for (const std::string& model : options.models) {
    serve::ModelSource source = serve::parse_model_source(model);
    source.file = file_of_model(source.file);
    service.models.push_back(std::move(source));
  }
  if (service.models.empty()) service.models.push_back(serve::parse_model_source(inference::bundled_model()));
  service.opening = inference::model_options_of(chosen);
  service.batching.max_delay = std::chrono::microseconds(static_cast<std::int64_t>(1000.0 * options.max_delay));
  service.batching.images = inference::session_options_of(chosen).images;
  if (!options.key_file.empty()) service.keys = serve::ApiKeys::read(options.key_file);
  return service;
}

/// A group of routes that a flag puts somewhere else.
struct Placed {
  std::string_view flag;
  serve::Placement placement;
};

std::vector<Placed> placed(const Options& options) {
  return {{"metrics", {.group = serve::RouteGroup::kMetrics, .where = options.metrics}},
          {"explain", {.group = serve::RouteGroup::kExplain, .where = options.explain}}};
}

serve::ServerOptions server_options(const Options& options) {
  serve::ServerOptions server = options.server;
  server.deadline = std::chrono::milliseconds(options.deadline);
  server.any_host = options.allow_anonymous;
  std::vector<serve::Placement> placements;
  for (const Placed& one : placed(options)) placements.push_back(one.placement);
  serve::ListenerOptions main = options.listener;
  if (!options.page) main.groups.remove(serve::RouteGroup::kPage);
  try {
    server.listeners = serve::place(main, placements);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
  if (options.tls.certificate.empty() != options.tls.key.empty()) {
    throw UsageError("expected --tls-certificate and --tls-key, found one of them");
  }
  if (!options.tls.key.empty()) server.tls = options.tls;
  return server;
}

/// Whom the server answers, and whether others can listen to that.
void check_exposure(const Options& options, const serve::ServerOptions& server) {
  for (const serve::ListenerOptions& listener : server.listeners) {
    if (serve::is_loopback(listener.host)) continue;
    if (options.key_file.empty() && !options.allow_anonymous) {
      throw UsageError(
          fmt::format("{}: others can connect to it: expected --api-key-file, or --allow-anonymous for a server that "
                      "answers everyone",
                      listener.host));
    }
    if (!options.key_file.empty() && !server.tls) {
      notice(
          fmt::format("[serve] {}: without --tls-certificate keys cross the network as they are, unless a proxy before "
                      "this server encrypts them",
                      listener.host));
    }
  }
}

/// "listening on URL", and where that is another one, "metrics on URL".
void print_addresses(const Options& options, const serve::Server& server, const serve::ServerOptions& server_of) {
  print(fmt::format("listening on {}\n", server.url()));
  for (const Placed& one : placed(options)) {
    for (std::size_t i = 1; i < server_of.listeners.size(); ++i) {
      if (!server_of.listeners[i].groups.contains(one.placement.group)) continue;
      print(fmt::format("{} on {}\n", one.flag, server.url(i)));
    }
  }
}

/// What is read from files again while the server goes on.
void reload(serve::Service& service, serve::Server& server, const Options& options) {
  if (!options.tls.certificate.empty()) {
    try {
      server.reload_tls();
      notice(fmt::format("[serve] certificate: read again from {}", options.tls.certificate));
    } catch (const Error& error) {
      notice(fmt::format("[serve] the certificate stays as it was: {}", error.what()));
    }
  }
  service.reload();
}

int run(const Options& options) {
  if (!options.probed.empty()) {
    serve::expect_ready(options.probed, kProbePatience);
    return 0;
  }
  serve::ServerOptions server_of = server_options(options);
  serve::ServiceOptions service_of = service_options(options);
  check_exposure(options, server_of);
  const sigset_t signals = block_signals();
  raise_descriptor_limit();
  serve::Service service(std::move(service_of), [](const std::string& sentence) { notice(sentence); });
  serve::Server server(service, server_of);
  const serve::ServiceManager manager = serve::ServiceManager::of_environment();
  const std::string status = fmt::format("listening on {}", server.url());
  print_addresses(options, server, server_of);
  manager.ready(status);

  int signal = 0;
  while (signal != SIGTERM && signal != SIGINT) {
    signal = next_signal(signals);
    if (signal != SIGHUP) continue;
    manager.reloading();
    reload(service, server, options);
    manager.ready(status);
  }
  manager.stopping();
  notice("[serve] finishing what was accepted; another signal ends at once");
  server.drain();
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(options.drain_limit);
  while (!server.wait_until_drained(std::chrono::milliseconds(0))) {
    signal = next_signal(signals);
    if (signal == SIGTERM || signal == SIGINT) return 1;
    if (std::chrono::steady_clock::now() > end) {
      notice(
          fmt::format("[serve] expected all requests to finish within {} ms; closing the rest", options.drain_limit));
      return 1;
    }
  }
  return 0;
}

}  // namespace

Command add_serve(CLI::App& program) {
  CLI::App* app = program.add_subcommand("serve", "Answer HTTP requests");
  const auto options = std::make_shared<Options>();
  app->add_option(
         "-m,--model", options->models,
         "Weight file, folder or name of a pulled file, as other commands take it, or NAME=FILE; clients ask for it "
         "by NAME, else the file's name without ending. May be given several times")
      ->type_name("MODEL")
      ->default_str("the bundled flower model")
      ->allow_extra_args(false);
  app->add_option("--host", options->listener.host, "Address to listen on")
      ->type_name("ADDRESS")
      ->capture_default_str();
  app->add_option("--port", options->listener.port, "Port to listen on; 0 is any that is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app->add_option("--tls-certificate", options->tls.certificate,
                  "PEM file with the server's certificate and those that vouch for it: connections are encrypted")
      ->type_name("FILE");
  app->add_option("--tls-key", options->tls.key, "PEM file with the certificate's private key")->type_name("FILE");
  app->add_option("--metrics", options->metrics,
                  "Where /metrics is: on (the address of all else), off, or an address of its own")
      ->type_name("on|off|HOST:PORT")
      ->capture_default_str();
  app->add_option("--explain", options->explain,
                  "Where explanations are: on (the address of all else), off, or an address of their own")
      ->type_name("on|off|HOST:PORT")
      ->capture_default_str();
  app->add_option("--max-batch", options->service.batching.max_batch, "Most photos that go through the model together")
      ->check(CLI::Range(1, 1024))
      ->default_str("a photo a thread");
  app->add_option("--max-delay", options->max_delay,
                  "Milliseconds for which a batch that isn't full waits for more photos")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  app->add_option("--queue", options->service.batching.queue,
                  "Photos that a model accepts before it has answered them; more are refused with status 503")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app->add_option("--explain-queue", options->service.batching.explain_queue,
                  "Explanations and feature vectors that a model accepts before it has answered them; more are refused "
                  "with status 503")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app->add_option("--deadline", options->deadline,
                  "Milliseconds within which a request is answered, else with status 504")
      ->check(CLI::Range(1, 3'600'000))
      ->capture_default_str();
  app->add_option("--drain", options->drain_limit,
                  "Milliseconds for accepted requests to finish behind SIGTERM or Ctrl-C")
      ->check(CLI::Range(0, 3'600'000))
      ->capture_default_str();
  app->add_option("--max-body", options->service.max_body, "Largest body of a request, in bytes or such as 20M")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE")
      ->default_str("16M");
  app->add_option("--max-connections", options->server.max_connections, "Most connections at one time")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  CLI::Option* const keys =
      app->add_option("--api-key-file", options->key_file,
                      "File with a key on each line: only requests with one of them, as Authorization: Bearer KEY, are "
                      "answered")
          ->type_name("FILE");
  app->add_flag("--allow-anonymous", options->allow_anonymous,
                "Answer everyone on a host that is not this machine alone")
      ->excludes(keys);
  app->add_flag("!--no-page", options->page, "Serve no page for browsers at /, only the routes for programs");
  app->add_option("--probe", options->probed,
                  "Instead of serving, ask the server at this URL, such as http://127.0.0.1:8080, whether it is ready: "
                  "the exit code is then 0, else 1")
      ->type_name("URL");
  options->arguments.add_loading(*app);
  options->arguments.add_images(*app);
  options->arguments.add_image_size(*app);
  options->arguments.add_dtype(*app);
  options->arguments.add_threads(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
