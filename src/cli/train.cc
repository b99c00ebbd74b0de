// SPDX-License-Identifier: Apache-2.0
// gcvit train: fine-tune a model on one's own photos, or train one from scratch.
#include <fmt/format.h>
#include <signal.h>

#include <csignal>
#include <algorithm>
#include <memory>
#include <set>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
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

/// How the command line names where the weights come from.
std::string start_of(const Options& options) {
  if (!options.weights.empty()) return "-m " + options.weights;
  return options.variant.empty() ? "" : "--variant " + options.variant;
}

/// Throws `UsageError` unless the run can go on to the end of epoch `options.flags.epochs`, another one than it began with.
void check_longer(const Options& options, const train::RunState& state) {
  const train::Recipe& begun = state.recipe;
  const auto refuse = [&](const std::string& reason) {
    throw UsageError(
        fmt::format("--resume: the run began with --epochs {}, and {}: to train on from its end, begin "
                    "another run with -m {}",
                    begun.epochs, reason, train::shell_word(options.folder + "/last.safetensors")));
  };
  if (begun.sched != "constant") refuse(fmt::format("--sched {} leads its learning rate to their end", begun.sched));
  if (begun.max_steps > 0) refuse(fmt::format("ends at --max-steps {}", begun.max_steps));
  const std::int32_t begun_epochs = state.epoch + (state.position > 0 ? 1 : 0);
  if (options.flags.epochs < begun_epochs) refuse(fmt::format("is in epoch {} already", begun_epochs));
  if (begun.early_stop > 0 && state.best && state.epoch - state.best->epoch >= begun.early_stop) {
    refuse(fmt::format("ended by --early-stop {}", begun.early_stop));
  }
}

/// Throws `UsageError` when a flag says something else than the run that is to go on began with, and that can't be.
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

train::RunOptions run_options(const Options& options) {
  train::RunOptions result;
  result.data = options.data;
  result.weights = start_of(options);
  result.threads = options.arguments.options.threads;
  result.max_memory = result.start.max_memory = options.arguments.options.max_memory;
  result.checkpoint_minutes = options.checkpoint_minutes;
  result.stop = [] { return stop_asked != 0; };
  result.notice = [](std::string_view sentence) { notice(sentence); };
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
    throw UsageError(
        "expected -m with weights to start from (a file, or a name as `gcvit pull` takes it) or --variant with the "
        "name of a model to train from scratch");
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
  if (!train::holds_run(options.folder)) fail("[train] {}: holds no run to go on with", options.folder);
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
  if (outcome == train::Outcome::kFinished) return 0;
  if (train::holds_run(options.folder)) {
    notice("stopped; go on with: " + train::resume_command(options.data, options.folder));
  } else {
    notice("stopped before the first step: there is nothing to go on with");
  }
  return kInterrupted;
}

void add_recipe_flags(CLI::App& app, train::Recipe& flags) {
  std::string section = "Length";
  const auto add = [&](const char* flag, auto& field, const char* what) {
    return app.add_option(flag, field, what)->group(section);
  };
  const auto add_flag = [&](const char* flag, bool& field, const char* what) {
    app.add_flag(flag, field, what)->group(section);
  };
  add("--epochs", flags.epochs, "Passes over the photos");
  add("--max-steps", flags.max_steps, "End after so many steps, and the schedule with them");
  add("--batch-size", flags.batch_size, "Photos of a batch");
  add("--grad-accum", flags.grad_accum, "Batches of a step: its loss is the mean over all their photos");
  add("--early-stop", flags.early_stop, "End after so many epochs without a better validation");

  section = "Optimiser";
  add("--optimizer", flags.optimizer, "adam, adamw, muon or sgd");
  add("--lr", flags.lr, "Learning rate");
  add("--momentum", flags.momentum, "Of sgd and muon");
  add("--beta1", flags.beta1, "Of adam and adamw");
  add("--beta2", flags.beta2, "Of adam and adamw");
  add("--adam-epsilon", flags.adam_epsilon, "Of adam and adamw");
  add("--adam-form", flags.adam_form, "Where epsilon stands: torch or keras");
  add("--weight-decay", flags.weight_decay,
      "Of convolutions and linear layers; not of biases, bias tables, norms and gammas");
  add("--clip-grad", flags.clip_grad, "Greatest norm of the gradient; 0: any");
  add("--ema-decay", flags.ema_decay, "Average the weights with this decay; 0: don't");
  add("--sched", flags.sched, "Learning rate over the run: constant or cosine");
  add("--warmup-epochs", flags.warmup_epochs, "Epochs over which it rises first");
  add("--min-lr", flags.min_lr, "Where cosine ends");
  add("--layer-decay", flags.layer_decay, "Its factor from a layer to the one before it");
  add("--freeze", flags.freeze, "Leave as they are: none, stem, levels or all-but-head");
  add_flag("--linear-probe", flags.linear_probe,
           "Train the head alone, on features that are computed once: the fast way on a CPU");

  section = "Loss and augmentation";
  add("--label-smoothing", flags.label_smoothing, "Share of a target that goes to all classes");
  add("--mixup", flags.mixup, "Blend pairs of photos: alpha of the Beta distribution; 0: don't");
  add("--cutmix", flags.cutmix, "Paste a part of one photo into another: alpha; 0: don't");
  add("--augment", flags.augment, "none (as in evaluation), flip or randaug");
  add("--random-erasing", flags.random_erasing, "Chance that a rectangle becomes noise");
  add("--rrc-scale", flags.rrc_scale, "Random crops of at least this share of a photo; 0: whole photos");
  add("--drop-path", flags.drop_path, "Chance that the last block is left out; less before it");
  add("--soft-labels", flags.soft_labels, "A teacher's logits, a JSON object a line")->type_name("FILE");
  add("--soft-temperature", flags.soft_temperature, "Of teacher and student");
  add("--soft-weight", flags.soft_weight, "Share of the teacher in the loss");

  section = "Photos and model";
  add("--val-split", flags.val_split, "Share of the photos that validate, where DATA has no side for it");
  add("--val-list", flags.val_list, "Photos that validate, a name a line; all others train")->type_name("FILE");
  add_flag("--tutorial-split", flags.tutorial_split, "The last of all photos, shuffled, validate");
  add_flag("--no-shuffle", flags.no_shuffle, "Batches follow the sorted paths");
  add_flag("--strict", flags.strict, "A photo that can't be read ends the run");
  add("--max-pixels", flags.max_pixels, "A photo of more pixels (width x height) can't be read");
  add("--preprocess", flags.preprocess, "From photo to tensor: auto, keras, keras-train, timm or nvlabs");
  add("--image-size", flags.image_size, "Height and width of images, multiples of 32")->type_name("HxW");
  add("--window-mode", flags.window_mode, "At another size, windows are exact or fixed");
  add("--num-classes", flags.num_classes, "Outputs of the head; without it as many as classes in DATA");
  add("--seed", flags.seed, "Of all random numbers");
  add("--dtype", flags.dtype, "What products round their operands to: f32 or bf16");
  add_flag("--grad-checkpointing", flags.grad_checkpointing,
           "Compute parts of each block again in the backward pass: less memory, more time");
}

}  // namespace

Command add_train(CLI::App& program) {
  CLI::App* app = program.add_subcommand("train", "Fine-tune a model on labelled photos, or train one from scratch");
  const auto options = std::make_shared<Options>();
  options->app = app;
  app->add_option("data", options->data,
                  "Photos: a folder with one for each class, perhaps inside train/ and val/; a .csv list; TFRecord or "
                  "WebDataset shards")
      ->required()
      ->type_name("DATA");
  CLI::Option* weights = app->add_option("-m,--model", options->weights,
                                         "Weights to start from: a file of any format, or a pulled one's name");
  app->add_option("--variant", options->variant,
                  "Start from random weights of this model, as xxtiny, or of the one that a .json file describes")
      ->excludes(weights);
  app->add_option("-o,--output", options->folder, "Folder for all that the run leaves")
      ->required()
      ->type_name("RUN_DIR");
  app->add_flag("--resume", options->resume, "Go on with the run in RUN_DIR where it stopped");
  app->add_option("--checkpoint-minutes", options->checkpoint_minutes,
                  "Time between checkpoints; there is one at each epoch's end too")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app->add_option("--recipe", options->flags.recipe,
                  "What all other flags start from: tutorial (the Keras example's), finetune (default with -m) or "
                  "scratch (default with --variant)")
      ->check(CLI::IsMember({"tutorial", "finetune", "scratch"}));
  add_recipe_flags(*app, options->flags);
  options->arguments.add_ema(*app);
  options->arguments.add_threads(*app);
  options->arguments.add_max_memory(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
