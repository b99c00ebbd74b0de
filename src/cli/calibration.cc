// SPDX-License-Identifier: Apache-2.0
#include "cli/calibration.h"

#include "data/source_summary.h"
#include "inference/run_images.h"
#include "inference/session_state.h"

namespace gcvit::cli {

void add_calibration_choice(CLI::App& app, evaluate::LabelledImages& images) {
  app.add_option("--list", images.list, "Use only the photos of DATA that this file names, one path a line")
      ->type_name("FILE")
      ->needs("--calibrate");
  app.add_flag("--by-index", images.by_index, "Match classes by their order, as eval does")->needs("--calibrate");
}

CalibrationPhotos read_calibration_photos(const ModelArguments& arguments, const std::string& file,
                                          const evaluate::LabelledImages& images) {
  ClassifierOptions classifier = arguments.classifier_options();
  classifier.precision = Precision::kF32;
  const Model model = Model::open(file, inference::model_options_of(classifier));
  CalibrationPhotos photos;
  photos.preparation = Session(model, inference::session_options_of(classifier)).state().preparation;
  photos.images = evaluate::read_labelled_images(model, images);
  for (const std::string& line : data::describe(data::summarise(photos.images))) notice("[data] " + line);
  for (const std::string& sentence : photos.images.notices) notice("[data] " + sentence);
  return photos;
}

void step(Progress& progress, std::string_view error) {
  if (!error.empty()) {
    progress.clear();
    notice(error);
  }
  progress.step();
}

}  // namespace gcvit::cli
