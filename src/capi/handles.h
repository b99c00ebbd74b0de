// SPDX-License-Identifier: Apache-2.0
// What C's handles point to.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gcvit/gcvit.h"
#include "gcvit/image.h"
#include "gcvit/model.h"
#include "gcvit/session.h"

namespace gcvit::capi {

/// A model, and the sessions that its callers use in turn: as many as ever called at once. It stays as long as the handle or results do.
struct OpenModel {
  Model model;
  SessionOptions session_options;
  int batch;
  std::string preprocessing;

  std::mutex mutex;
  std::vector<std::unique_ptr<Session>> idle;
  std::size_t sessions = 0;

  std::size_t classes() const { return static_cast<std::size_t>(model.classes()); }
};

/// Holds a session, and gives it back.
class Lease {
 public:
  explicit Lease(OpenModel& model);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Session& operator*() { return *session_; }
  Session* operator->() { return session_.get(); }

 private:
  OpenModel& model_;
  std::unique_ptr<Session> session_;
};

/// The model behind a handle. Throws `Error` for NULL.
OpenModel& opened(const gcvit_model* model);
/// The image behind a handle, likewise.
const Image& image_of(const gcvit_image* image);

/// Writes predictions as C has them; their labels are the model's.
void write_predictions(const OpenModel& model, const std::vector<Prediction>& predictions, gcvit_prediction* out);

}  // namespace gcvit::capi

struct gcvit_model {
  std::shared_ptr<gcvit::capi::OpenModel> opened;
};

struct gcvit_image {
  gcvit::Image image;
};
