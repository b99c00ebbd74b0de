// SPDX-License-Identifier: Apache-2.0
// Arguments that several subcommands have.
#pragma once

#include <CLI/CLI.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "gcvit/classifier.h"
#include "gcvit/model.h"
#include "gcvit/session.h"
#include "weights/load.h"

namespace gcvit::cli {

/// The program was called in a way that can't work: one sentence, exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The number of photos in a batch; the second name is an alias that help doesn't show.
inline constexpr const char* kBatchFlag = "--batch,--batch-size";

/// -m, --model and how photos go into it, for subcommands that run one.
struct ModelArguments {
  std::string model;       ///< empty: the bundled one
  std::string image_size;  ///< "", "224" or "192x256"
  std::string preprocess = "auto";
  std::string window_mode = "exact";
  std::string dtype = "auto";
  bool no_exif = false;
  int num_classes = 0;  ///< 0: the file's
  std::uint64_t seed = 0;
  ClassifierOptions options;

  void add_model(CLI::App& app);
  /// The same for a command that is about the model alone: MODEL is its first argument, -m an alias.
  void add_model_first(CLI::App& app);
  /// --ema, --no-ema, --keras-example-bias and --max-memory; add_model has them.
  void add_loading(CLI::App& app);
  /// --ema and --no-ema; add_model has them.
  void add_ema(CLI::App& app);
  /// --keras-example-bias; add_model has it.
  void add_keras_example_bias(CLI::App& app);
  /// --max-memory; add_model has it.
  void add_max_memory(CLI::App& app);
  /// --num-classes and --seed
  void add_new_head(CLI::App& app);
  /// -t, --threads
  void add_threads(CLI::App& app);
  /// --image-size and --window-mode
  void add_image_size(CLI::App& app);
  /// --preprocess, --no-exif and --max-pixels
  void add_images(CLI::App& app);
  /// --batch
  void add_batch(CLI::App& app);
  /// --dtype: what the model computes in
  void add_dtype(CLI::App& app);
  /// All of these that a command needs which takes photos through a model.
  void add_running(CLI::App& app);

  /// The file of the model, by `file_of_model`. Throws `Error` when none was given and the bundled one isn't there.
  std::string model_file() const;
  /// All of the above as options of the library.
  ClassifierOptions classifier_options() const;
  SessionOptions session_options() const;
  /// The model in that file, opened as they say; notices of it are told.
  Model open(const std::string& file) const;
  /// What loading alone needs of them.
  weights::LoadOptions load_options() const;
};

/// Prints notices about how a model was read, and whether its head is new.
void notice_loading(const weights::LoadedModel& loaded);

/// Where a model lies that a person has named: the file of that name; else, for an official name as `gcvit pull` takes
/// it, what was pulled. Throws `Error` when it was not pulled or was changed since.
std::string file_of_model(const std::string& model);

/// The names that --variant takes.
std::vector<std::string> published_variants();

/// Sides of "224" (both) or "192x256" (height, width).
struct Size {
  int height = 0;
  int width = 0;
};
/// Throws `UsageError` on another text.
Size parse_size(const std::string& text);

/// The precision of a dtype's name, kAuto for another.
Precision parse_precision(const std::string& dtype);

/// The required positional IN of commands that write a model anew.
void add_input(CLI::App& app, std::string& model);

/// A flag --json, which asks for one JSON object on stdout.
void add_json(CLI::App& app, bool& json);

}  // namespace gcvit::cli
