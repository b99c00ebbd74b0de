// SPDX-License-Identifier: Apache-2.0
// A service with a tiny model, and photos with the logits that it should find.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "gcvit/session.h"
#include "serve/service.h"
#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"

namespace gcvit::serve {

struct TinyModel {
  weights::TemporaryFolder folder;
  std::string file = folder / "tiny.safetensors";

  TinyModel() { testing::write_tiny_model(file, testing::colour_names()); }

  ServiceOptions options() const {
    ServiceOptions options;
    options.models = {{.name = "tiny", .file = file}};
    options.opening.threads = 2;
    options.batching.queue = 16;
    options.max_body = 1 << 20;
    return options;
  }

  std::vector<float> tensor(std::string_view photo) const {
    Session session(Model::open(file));
    return session.preprocess(Image::encoded(std::as_bytes(std::span(photo))));
  }
  std::vector<float> logits(std::string_view photo) const {
    Session session(Model::open(file));
    return session.logits(session.preprocess(Image::encoded(std::as_bytes(std::span(photo)))));
  }
};

/// Sentences that a service told a person.
class Notices {
 public:
  std::function<void(const std::string&)> listener() {
    return [this](const std::string& sentence) {
      const std::scoped_lock lock(mutex_);
      sentences_.push_back(sentence);
    };
  }
  std::vector<std::string> sentences() const {
    const std::scoped_lock lock(mutex_);
    return sentences_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> sentences_;
};

/// What a service answers, as a connection would ask it.
inline Response ask(Service& service, RequestHead head, std::string body = "",
                    std::chrono::milliseconds deadline = std::chrono::seconds(60),
                    RouteGroups offered = RouteGroups::all()) {
  try {
    AdmittedRequest request;
    request.route = service.admit(head, offered);
    request.head = std::move(head);
    request.body = std::move(body);
    request.arrived = Clock::now();
    request.deadline = request.arrived + deadline;
    std::promise<Service::Respond> promise;
    service.handle(std::move(request), [&](Service::Respond respond) { promise.set_value(std::move(respond)); });
    return promise.get_future().get()();
  } catch (const Error& error) {
    return response_of(refusal_of(error));
  }
}

inline Response get(Service& service, const std::string& target, RouteGroups offered = RouteGroups::all()) {
  RequestHead head;
  head.method = "GET";
  head.target = target;
  return ask(service, std::move(head), "", std::chrono::seconds(60), offered);
}

inline Response post(Service& service, const std::string& target, std::string body,
                     const std::string& content_type = "", RouteGroups offered = RouteGroups::all()) {
  RequestHead head;
  head.method = "POST";
  head.target = target;
  head.content_type = content_type;
  return ask(service, std::move(head), std::move(body), std::chrono::seconds(60), offered);
}

}  // namespace gcvit::serve
