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
#include "serve/metrics.h"
#include "serve/refusal.h"
#include "serve/request_head.h"
#include "serve/router.h"
#include "serve/served_model.h"

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
};

struct Response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> fields = {};
  std::string body = {};
  std::string reason = {};  ///< of an error, for the metrics
};

Response response_of(const Refusal& refusal);

/// A request whose head was accepted.
struct AdmittedRequest {
  RequestHead head;
  Route route;
  std::string body;
  Clock::time_point arrived;
  Clock::time_point deadline;
};

/// Any number of threads may call it.
class Service {
 public:
  /// Opens all models. `notice` gets sentences for a person, from any thread. Throws `Error`.
  Service(ServiceOptions options, std::function<void(const std::string& sentence)> notice);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  const ServiceOptions& options() const { return options_; }
  Metrics& metrics() { return metrics_; }

  /// Checks the key, which the health of the server needs none of, then finds the route and whether there is such a model: all that can be known before the body is read. Throws
  /// `Refusal`.
  Route admit(const RequestHead& head) const;

  /// Makes the response; it doesn't throw.
  using Respond = std::function<Response()>;
  /// Answers a request: `done` is called once, in this call or from a thread that computes and must not be held up.
  void handle(AdmittedRequest request, std::function<void(Respond respond)> done);

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
  /// Throws `Refusal` 404.
  ModelPointer find(const std::string& name) const;
  Response answer(const AdmittedRequest& request) const;
  void classify(AdmittedRequest request, std::function<void(Respond respond)> done);
  void infer(AdmittedRequest request, std::function<void(Respond respond)> done);

  ServiceOptions options_;
  std::function<void(const std::string& sentence)> notice_;
  Metrics metrics_;
  std::atomic<bool> draining_ = false;
  mutable std::mutex mutex_;
  std::vector<ModelPointer> models_;
};

}  // namespace gcvit::serve
