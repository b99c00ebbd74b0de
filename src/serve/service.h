// SPDX-License-Identifier: Apache-2.0
// Requests to responses, without sockets: what server.h does on connections, and tests and fuzzing do without them.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gcvit/model.h"
#include "serve/api_keys.h"
#include "serve/body_budget.h"
#include "serve/queries.h"
#include "serve/metrics.h"
#include "serve/refusal.h"
#include "serve/request_head.h"
#include "serve/router.h"
#include "serve/served_model.h"

namespace boost::asio {
class thread_pool;
}

namespace gcvit::serve {

/// A model by the name under which clients ask for it.
struct ModelSource {
  std::string name;
  std::string file;
};

/// Reads "NAME=FILE", or "FILE", whose name is the file's without folder and ending. Throws `Error` for a name that isn't 1 to 128 letters,
/// digits, ".", "-" and "_".
ModelSource parse_model_source(std::string_view text);

struct ServiceOptions {
  std::vector<ModelSource> models;  ///< the first one answers requests that name none
  ModelOptions opening = {};
  BatchingOptions batching = {};
  ApiKeys keys = {};
  /// Bytes, of which a compressed body may not have more either once it is decompressed.
  std::size_t max_body = std::size_t{16} << 20;
  bool explain = true;  ///< whether explanations are offered
  bool page = true;  ///< whether there is the page for browsers
};

struct Response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> fields = {};
  std::string body = {};
  std::string reason = {};  ///< of an error, for the metrics
};

Response response_of(const Refusal& refusal);
/// `make`, with what it throws made a response.
std::function<Response()> guarded(std::function<Response()> make);

/// A request whose head was accepted.
struct AdmittedRequest {
  RequestHead head;
  Route route;
  std::string body;
  std::shared_ptr<BodyBudget::Share> body_share;  ///< null where nobody counts
  Clock::time_point arrived;
  Clock::time_point deadline;
};

/// Any number of threads may call it.
class Service {
 public:
  /// Opens all models. `notice` gets sentences for a person, from any thread. Throws `Error`.
  Service(ServiceOptions options, std::function<void(const std::string& sentence)> notice);
  /// Waits for everything that was accepted.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  const ServiceOptions& options() const { return options_; }
  Metrics& metrics() { return metrics_; }

  /// Checks the key, which the page's files don't need, then finds the route and whether there is such a model: all that can be known
  /// before the body is read. Throws `Refusal`.
  Route admit(const RequestHead& head) const;

  /// Makes the response; it doesn't throw.
  using Respond = std::function<Response()>;
  /// Answers a request: `done` is called once, in this call or from a thread that computes and must not be held up. The call is short: a
  /// body that takes longer to read is read on another thread.
  void handle(AdmittedRequest request, const std::function<void(Respond respond)>& done);

  /// Opens all models again. One that can't be opened stays as it was, and a notice says so. Requests that were accepted are answered by the
  /// model that accepted them. Takes as long as opening does; one thread at a time.
  void reload();

  /// From now on the server isn't ready any more.
  void drain() { draining_ = true; }
  /// Ends what hasn't been computed, whose `done` is called; no request may be handled afterwards.
  void cancel();

 private:
  using ModelPointer = std::shared_ptr<ServedModel>;

  ModelPointer open(const ModelSource& source);
  std::vector<ModelPointer> models() const;
  /// Throws `Refusal` 404.
  ModelPointer find(const std::string& name) const;
  Response answer(const AdmittedRequest& request) const;
  using Done = std::function<void(Respond respond)>;
  /// What `handle` does, however long it takes.
  void begin(AdmittedRequest request, const Done& done);
  // In service_models.cc: what models answer.
  void classify(AdmittedRequest request, const Done& done);
  void infer(AdmittedRequest request, const Done& done);
  void explain(AdmittedRequest request, const Done& done);
  void features(AdmittedRequest request, const Done& done);

  ServiceOptions options_;
  std::function<void(const std::string& sentence)> notice_;
  Metrics metrics_;
  std::atomic<bool> draining_ = false;
  std::atomic<bool> cancelled_ = false;
  mutable std::mutex mutex_;
  std::vector<ModelPointer> models_;
  std::unique_ptr<boost::asio::thread_pool> readers_;  ///< of bodies
};

}  // namespace gcvit::serve
