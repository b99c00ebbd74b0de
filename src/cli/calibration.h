// SPDX-License-Identifier: Apache-2.0
// Photos that a model is compared with a rounded one on.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

#include "cli/arguments.h"
#include "cli/output.h"
#include "data/image_set.h"
#include "evaluate/evaluate.h"
#include "inference/preparation.h"

namespace gcvit::cli {

/// --list and --by-index, for an app that has an option --calibrate, for `images.path`.
void add_calibration_choice(CLI::App& app, evaluate::LabelledImages& images);

struct CalibrationPhotos {
  data::ImageSet images;
  inference::Preparation preparation;
};

/// The photos of `images`, matched with the classes of the model in `file`; notices say what was found. Throws `Error`.
CalibrationPhotos read_calibration_photos(const ModelArguments& arguments, const std::string& file,
                                          const evaluate::LabelledImages& images);

/// One more photo is done; prints its error when it has one.
void step(Progress& progress, std::string_view error);

}  // namespace gcvit::cli
