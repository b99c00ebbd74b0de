// SPDX-License-Identifier: Apache-2.0
// gcvit train: fine-tune a model on one's own photos, or train one from scratch.
#include <fmt/format.h>
#include <signal.h>

#include <csignal>
#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/description.h"
#include "cli/events.h"
#include "cli/output.h"
#include "base/build_options.h"
#include "base/error.h"
#include "train/checkpoint.h"
#include "train/recipe.h"
#include "train/results.h"
#include "train/run.h"
#include "formats/in_quotes.h"

namespace gcvit::cli {
namespace {

/// What a shell shows for a program that Ctrl-C ended.
constexpr int kInterrupted = 130;

struct Options {
  CLI::App* app = nullptr;
  ModelArguments arguments;
  std::string data;
  std::string weights;
  std::string variant;
  std::string folder;
  bool resume = false;
  double checkpoint_minutes = 5.0;
  bool no_explain = false;
  train::Recipe flags;  ///< the fields whose flags were given; the others mean nothing
};

/// Set by the first SIGINT, SIGTERM or SIGHUP.
volatile std::sig_atomic_t stop_asked = 0;

void ask_to_stop(int) { stop_asked = 1; }

void catch_signals() {
  struct sigaction action{};
  action.sa_handler = ask_to_stop;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);  // a second one ends the program
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A terminal that hangs up sends SIGHUP and so does its shell: the second must not end the program while it writes the
  // checkpoint. Under nohup the signal is ignored, and stays so.
  struct sigaction before{};
  sigaction(SIGHUP, nullptr, &before);
  if (before.sa_handler == SIG_IGN) return;
  action.sa_flags = SA_RESTART;
  sigaction(SIGHUP, &action, nullptr);
}

/// Calls `visit(name, member)` for the recipe's fields whose flags were given.
template <typename Visit>
void visit_given(const Options& options, Visit&& visit) {
  train::visit_fields([&](const char* name, auto member) {
    const CLI::Option* option = options.app->get_option_no_throw(train::flag_of(name));
    if (option != nullptr && option->count() > 0) visit(name, member);
  });
}

train::Recipe recipe_of(const Options& options) {
  const bool from_weights = !options.weights.empty();
  const bool named = options.app->count("--recipe") > 0;
  const std::string name = named ? options.flags.recipe : from_weights ? "finetune" : "scratch";
  train::Recipe recipe = train::preset(name, options.flags.linear_probe);
  std::set<std::string> given;
  visit_given(options, [&](const char* field, auto member) {
    recipe.*member = options.flags.*member;
    given.insert(field);
  });
  // A rate that is constant has no way up either, unless asked for.
  if (recipe.sched == "constant" && !given.contains("warmup_epochs")) recipe.warmup_epochs = 0.0;
  if (!given.contains("min_lr")) recipe.min_lr = std::min(recipe.min_lr, recipe.lr);
  return recipe;
}

/// The source of the weights as given on the command line.
std::string start_of(const Options& options) {
  if (!options.weights.empty()) return "-m " + options.weights;
  return options.variant.empty() ? "" : "--variant " + options.variant;
}

/// Throws `UsageError` unless the run can be lengthened or shortened to `options.flags.epochs` epochs.
void check_longer(const Options& options, const train::RunState& state) {
  const train::Recipe& begun = state.recipe;
  const auto refuse = [&](const std::string& reason) {
    throw UsageError(
        fmt::format("--resume: the run began with --epochs {}, and {}: to train on from its end, begin "
                    "another run with -m {}",
                    begun.epochs, reason, train::shell_word(options.folder + "/last.safetensors")));
  };
  if (begun.sched != "constant") refuse(fmt::format("--sched {} ends its learning rate with them", begun.sched));
  if (begun.max_steps > 0) refuse(fmt::format("ends at --max-steps {}", begun.max_steps));
  const std::int32_t begun_epochs = state.epoch + (state.position > 0 ? 1 : 0);
  if (options.flags.epochs < begun_epochs) refuse(fmt::format("is in epoch {} already", begun_epochs));
  if (begun.early_stop > 0 && state.best && state.epoch - state.best->epoch >= begun.early_stop) {
    refuse(fmt::format("ended by --early-stop {}", begun.early_stop));
  }
}

/// Throws `UsageError` when a flag differs from the value with which the run began and can't be changed.
void check_same(const Options& options, const train::Checkpoint& checkpoint) {
  const train::Recipe& begun = checkpoint.state.recipe;
  const auto refuse = [](const std::string& flag, const auto& had, const auto& found) {
    throw UsageError(fmt::format("--resume: the run began with {} {}, found {}: leave it out, or begin another run",
                                 flag, had, found));
  };
  visit_given(options, [&](const char* name, auto member) {
    if (options.flags.*member == begun.*member) return;
    if (std::string_view(name) == "epochs") {
      check_longer(options, checkpoint.state);
    } else {
      refuse(train::flag_of(name), begun.*member, options.flags.*member);
    }
  });
  const std::string start = start_of(options);
  if (!start.empty() && start != checkpoint.state.weights) refuse("weights", checkpoint.state.weights, start);
}

/// The run's events.
train::RunWatcher event_watcher(const std::string& folder) {
  train::RunWatcher watcher;
  watcher.started = [folder](const train::RunStart& start) {
    send_event({{"event", "start"},
                {"folder", folder},
                {"epochs", start.epochs},
                {"steps_per_epoch", start.steps_per_epoch},
                {"steps", start.steps},
                {"epochs_done", start.epochs_done},
                {"steps_done", start.steps_done},
                {"train_photos", start.train_photos},
                {"validation_photos", start.validation_photos},
                {"classes", start.classes}});
  };
  watcher.stepped = [pace = EventPace()](const train::RunStep& step) mutable {
    if (!pace.due() && step.step != step.steps) return;
    send_event({{"event", "step"},
                {"epoch", step.epoch},
                {"step", step.step},
                {"steps", step.steps},
                {"loss", step.loss},
                {"accuracy", step.accuracy},
                {"lr", step.lr}});
  };
  watcher.epoch_ended = [](const train::EpochRow& row, bool best) {
    const auto or_null = [](const std::optional<double>& value) { return value ? Json(*value) : Json(); };
    send_event({{"event", "epoch"},
                {"epoch", row.epoch},
                {"loss", row.loss},
                {"accuracy", row.accuracy},
                {"val_loss", or_null(row.val_loss)},
                {"val_accuracy", or_null(row.val_accuracy)},
                {"lr", row.lr},
                {"seconds", row.seconds},
                {"images_per_second", row.images_per_second},
                {"best", best}});
  };
  watcher.progressed = [pace = EventPace()](std::string_view what, std::int64_t done, std::int64_t total) mutable {
    send_progress(pace, what, done, total);
  };
  return watcher;
}

train::RunOptions run_options(const Options& options) {
  train::RunOptions result;
  result.data = options.data;
  result.weights = start_of(options);
  result.threads = options.arguments.options.threads;
  result.max_memory = result.start.max_memory = options.arguments.options.max_memory;
  result.checkpoint_minutes = options.checkpoint_minutes;
  result.explain = !options.no_explain;
  result.stop = [] { return stop_asked != 0; };
  result.notice = [](std::string_view sentence) { notice(sentence); };
  result.watcher = event_watcher(options.folder);
  return result;
}

/// The recipe's sentence about a flag is a usage error here.
void check_flags(const train::Recipe& recipe) {
  try {
    train::validate(recipe);
  } catch (const Error& error) {
    throw UsageError(std::string(formats::without_area(error.what())));
  }
}

train::RunOptions new_run(const Options& options) {
  if (options.weights.empty() == options.variant.empty()) {
    throw UsageError(std::string("expected -m with weights to start from (a file") +
                     (kWithHub ? ", or a name as `gcvit pull` takes it" : "") +
                     ") or --variant with the name of a model to train from scratch");
  }
  train::RunOptions run = run_options(options);
  run.recipe = recipe_of(options);
  run.keep_warmup = options.app->count("--warmup-epochs") > 0;
  check_flags(run.recipe);
  if (!run.recipe.image_size.empty()) {
    const Size size = parse_size(run.recipe.image_size);
    run.start.image_size = {size.height, size.width};
  }
  run.start.window_mode = run.recipe.window_mode == "fixed" ? model::WindowMode::kFixed : model::WindowMode::kExact;
  run.start.variant = options.variant;
  if (!options.weights.empty()) run.start.weights = file_of_model(options.weights);
  run.start.averaged = options.arguments.options.ema;
  return run;
}

train::Outcome resume(const Options& options) {
  if (!train::holds_run(options.folder))
    fail("[train] {}: expected a folder with a run to resume, found none", options.folder);
  train::RunFolder folder(options.folder);
  folder.open();
  const train::Checkpoint checkpoint = train::read_checkpoint(folder.checkpoint());
  check_same(options, checkpoint);
  train::RunOptions run = run_options(options);
  if (options.app->count("--epochs") > 0) run.epochs = options.flags.epochs;
  return train::resume_run(folder, run, checkpoint);
}

int run(const Options& options) {
  catch_signals();
  const train::Outcome outcome = options.resume ? resume(options) : train::start_run(options.folder, new_run(options));
  const bool finished = outcome == train::Outcome::kFinished;
  const bool resumable = train::holds_run(options.folder);
  if (!finished && resumable) {
    notice("stopped; resume with: " + train::resume_command(options.data, options.folder));
  } else if (!finished) {
    notice("stopped before the first step: there is nothing to resume");
  }
  send_event({{"event", "end"},
              {"outcome", finished ? "finished" : "stopped"},
              {"folder", options.folder},
              {"resumable", resumable}});
  return finished ? 0 : kInterrupted;
}

/// "--epochs 100, --lr 0.003": what a linear probe of weights changes.
std::string defaults_of_probe() {
  const train::Recipe tuned = train::preset("finetune");
  const train::Recipe probe = train::preset("finetune", true);
  std::string text;
  train::visit_fields([&](const char* name, auto member) {
    if (tuned.*member == probe.*member || std::string_view(name) == "linear_probe") return;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", train::flag_of(name), probe.*member);
  });
  return text;
}

/// Adds the flags of recipe fields to a group of the help.
class FlagGroup {
 public:
  FlagGroup(CLI::App& app, std::string name) : app_(app), name_(std::move(name)) {}

  template <typename Field>
  CLI::Option* add(const char* flag, Field& field, const std::string& what) {
    return app_.add_option(flag, field, what)->group(name_);
  }
  void add_flag(const char* flag, bool& field, const std::string& what) {
    app_.add_flag(flag, field, what)->group(name_);
  }

 private:
  CLI::App& app_;
  std::string name_;
};

void add_length_flags(CLI::App& app, train::Recipe& flags) {
  FlagGroup group(app, "Length");
  group.add("--epochs", flags.epochs, "Passes over the training photos");
  group.add("--max-steps", flags.max_steps, "End the run, and its schedule, after this many steps; 0 is no limit");
  group.add(kBatchFlag, flags.batch_size, "Number of photos in a batch");
  group.add("--grad-accum", flags.grad_accum, "Batches in a step, whose loss is the mean over all their photos");
  group.add("--early-stop", flags.early_stop,
            "End after this many epochs without a better validation accuracy; 0 is never");
}

void add_optimiser_flags(CLI::App& app, train::Recipe& flags) {
  FlagGroup group(app, "Optimiser");
  group.add("--optimizer", flags.optimizer, "Optimiser");
  group.add("--lr", flags.lr, "Learning rate");
  group.add("--momentum", flags.momentum, "Momentum of sgd and muon");
  group.add("--beta1", flags.beta1, "Decay of the first moment, of adam and adamw");
  group.add("--beta2", flags.beta2, "Decay of the second moment, of adam and adamw");
  group.add("--adam-epsilon", flags.adam_epsilon, "Epsilon of adam and adamw");
  group.add("--adam-form", flags.adam_form, "Where epsilon is added: as PyTorch or as Keras does");
  group.add("--weight-decay", flags.weight_decay,
            "Weight decay of convolutions and linear layers; biases, bias tables, norms and layer scales have none");
  group.add("--clip-grad", flags.clip_grad, "Clip the gradient to this norm; 0 is off");
  group.add("--ema-decay", flags.ema_decay,
            "Keep an exponential moving average of the weights with this decay; 0 is off");
  group.add("--sched", flags.sched, "Schedule of the learning rate");
  group.add("--warmup-epochs", flags.warmup_epochs, "Epochs of linear warm-up");
  group.add("--min-lr", flags.min_lr, "Learning rate at the end of the cosine schedule");
  group.add("--layer-decay", flags.layer_decay, "Factor of the learning rate from each layer to the one before it");
  group.add("--freeze", flags.freeze, "What not to train");
  group.add_flag("--linear-probe", flags.linear_probe,
                 "Train only the head, on features that are computed once: fast on a CPU. Other defaults are then " +
                     defaults_of_probe());
}

void add_loss_flags(CLI::App& app, train::Recipe& flags) {
  FlagGroup group(app, "Loss and augmentation");
  group.add("--label-smoothing", flags.label_smoothing, "Share of each target that is spread over all classes");
  group.add("--mixup", flags.mixup, "Blend pairs of photos: alpha of the Beta distribution; 0 is off");
  group.add("--cutmix", flags.cutmix,
            "Paste a part of one photo into another: alpha of the Beta distribution; 0 is off");
  group.add("--augment", flags.augment, "Augmentation; none prepares photos as in evaluation");
  group.add("--random-erasing", flags.random_erasing, "Probability of replacing a rectangle by noise");
  group.add("--rrc-scale", flags.rrc_scale, "Least share of a photo's area in a random crop; 0 is no random crops");
  group.add("--drop-path", flags.drop_path,
            "Drop path rate of the last block; it increases linearly from 0 at the first");
  group.add("--soft-labels", flags.soft_labels, "File with a teacher's logits, one JSON object per line")
      ->type_name("FILE");
  group.add("--soft-temperature", flags.soft_temperature, "Temperature of teacher and student");
  group.add("--soft-weight", flags.soft_weight, "Weight of the teacher in the loss");
}

void add_data_flags(CLI::App& app, train::Recipe& flags) {
  FlagGroup group(app, "Photos and model");
  group.add("--val-split", flags.val_split, "Share of the photos to validate on, when DATA has no validation split");
  group
      .add("--val-list", flags.val_list,
           "File that names the validation photos, one per line; all others are for training")
      ->type_name("FILE");
  group.add_flag("--tutorial-split", flags.tutorial_split,
                 "Shuffle all photos and validate on the last of them, as the Keras example does");
  group.add_flag("--no-shuffle", flags.no_shuffle, "Take the photos in the order of their sorted paths");
  group.add_flag("--strict", flags.strict, "End the run at the first photo that can't be read");
  group.add("--max-pixels", flags.max_pixels, "Refuse photos with more pixels (width x height) than this");
  group.add("--preprocess", flags.preprocess, "How photos become tensors; auto is as the model file says");
  group
      .add("--image-size", flags.image_size,
           "Height and width of the input in pixels, multiples of 32, such as 192x256")
      ->type_name("HxW")
      ->default_str("the model's");
  group.add("--window-mode", flags.window_mode,
            "What happens to attention windows at another image size: exact resizes them, fixed keeps them and pads "
            "the maps");
  group.add("--num-classes", flags.num_classes, "Number of outputs of the head")
      ->default_str("the number of classes in DATA");
  group.add("--seed", flags.seed, "Seed of all random numbers");
  group.add("--dtype", flags.dtype, "Data type of the operands of matrix products");
  group.add_flag("--grad-checkpointing", flags.grad_checkpointing,
                 "Recompute parts of each block in the backward pass: less memory, more time");
}

/// "32", or "tutorial 5, finetune 10, scratch 100" where the recipes differ; empty for what no recipe sets.
template <typename Field>
std::string default_of(Field train::Recipe::* member) {
  std::vector<std::string> values;
  std::string by_recipe;
  for (const std::string& recipe : train::words_of("recipe")) {
    const Field value = train::preset(recipe).*member;
    if constexpr (std::is_same_v<Field, bool>) {
      values.emplace_back(value ? "on" : "off");
    } else {
      values.push_back(fmt::format("{}", value));
    }
    by_recipe += fmt::format("{}{} {}", by_recipe.empty() ? "" : ", ", recipe, values.back());
  }
  if (std::ranges::count(values, values.front()) != std::ssize(values)) return by_recipe;
  return std::is_same_v<Field, bool> ? "" : values.front();
}

/// Tells help each flag's defaults and range, which the recipes decide and check.
void describe_fields(CLI::App& app) {
  train::visit_fields([&](const char* name, auto member) {
    CLI::Option* const option = app.get_option_no_throw(train::flag_of(name));
    if (option == nullptr || std::string_view(name) == "recipe") return;
    if (option->get_default_str().empty()) option->default_str(default_of(member));
    if (const std::string range = train::range_of(name); !range.empty()) option->check(range_of(range));
    if (const auto words = train::words_of(name); !words.empty()) option->check(one_of(words));
  });
}

}  // namespace

Command add_train(CLI::App& program) {
  CLI::App* app = program.add_subcommand("train", "Fine-tune a model on labelled photos, or train one from scratch");
  const auto options = std::make_shared<Options>();
  options->app = app;
  app->add_option(
         "data", options->data,
         "Labelled photos: a folder with a sub-folder for each class, perhaps inside train/ and val/; a .csv list; "
         "TFRecord or WebDataset shards")
      ->required()
      ->type_name("DATA");
  CLI::Option* weights =
      app->add_option("-m,--model", options->weights,
                      kWithHub
                          ? "Weights to start from: a file of any format that gcvit reads, or the name of a pulled file"
                          : "Weights to start from: a file of any format that gcvit reads")
          ->type_name("MODEL");
  app->add_option(
         "--variant", options->variant,
         "Start from random weights of this variant, such as xxtiny, or of the model that a .json file describes")
      ->type_name("NAME")
      ->excludes(weights);
  app->add_option("-o,--output", options->folder, "Folder for everything that the run writes")
      ->required()
      ->type_name("RUN_DIR");
  app->add_flag("--resume", options->resume, "Continue the run in RUN_DIR where it stopped");
  app->add_option("--checkpoint-minutes", options->checkpoint_minutes,
                  "Minutes between checkpoints; one is also written at the end of each epoch")
      ->type_name("MINUTES")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app->add_flag("--no-explain", options->no_explain,
                "Leave out Grad-CAM beside the mistakes in report.html; --resume needs the flag again");
  app->add_option("--recipe", options->flags.recipe, "Defaults of all flags below; tutorial is the Keras example's")
      ->check(CLI::IsMember(train::words_of("recipe")))
      ->default_str("finetune with -m, scratch with --variant");
  add_length_flags(*app, options->flags);
  add_optimiser_flags(*app, options->flags);
  add_loss_flags(*app, options->flags);
  add_data_flags(*app, options->flags);
  describe_fields(*app);
  options->arguments.add_ema(*app);
  options->arguments.add_threads(*app);
  options->arguments.add_max_memory(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
