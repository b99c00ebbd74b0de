// SPDX-License-Identifier: Apache-2.0
// The program as a user calls it: what it prints, its exit code, its one sentence when something is wrong.
#include <gtest/gtest.h>

#include <sstream>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/keys.h"
#include "tests/cli/program.h"
#include "formats/npy.h"
#include "formats/safetensors.h"

namespace gcvit {
namespace {

using nlohmann::json;
using weights::read_text;
using weights::TemporaryFolder;
using weights::write_text;

TEST_F(Cli, HelpAndVersionEverywhere) {
  for (const char* command : {"", "info", "classify", "preprocess", "forward", "eval", "explain", "features", "similar",
                              "bench", "convert", "quantize", "export", "pull"}) {
    const Result version = gcvit(std::string(command) + " --version");
    EXPECT_EQ(version.code, 0) << command;
    EXPECT_TRUE(version.out.starts_with("gcvit ")) << version.out;
    EXPECT_EQ(gcvit(std::string(command) + " --help").code, 0) << command;
  }
}

TEST_F(Cli, CalledWronglyItExitsWith2) {
  expect_usage_error("", "expected a command");
  expect_usage_error("guess x.jpg", "guess");
  expect_usage_error("classify", "photos");
  expect_usage_error("classify a.jpg --json --jsonl", "excludes");
  expect_usage_error("classify a.jpg -k 0", "-k");
  expect_usage_error("classify a.jpg -k many", "-k");
  expect_usage_error("classify a.jpg --threshold 2", "--threshold");
  expect_usage_error("classify a.jpg --preprocess imagenet", "imagenet");
  expect_usage_error("classify a.jpg -t -3", "-t");
  expect_usage_error("classify a.jpg --image-size big", "192x256");
  expect_usage_error("classify a.jpg --image-size 64x", "64x");
  expect_usage_error("classify a.jpg --window-mode stretched", "stretched");
  expect_usage_error("classify a.jpg --dtype f64", "f64");
  expect_usage_error("classify - -", "once");
  expect_usage_error("forward x.npy", "--output");
  expect_usage_error("export", "files");
  expect_usage_error("export m.onnx --opset 12", "--opset");
  expect_usage_error("export m.onnx --opset 99", "--opset");
  expect_usage_error("bench --variant xxtiny -m m.safetensors", "excludes");
}

TEST_F(Cli, InfoHasTheNumbersOfTheKerasExample) {
  const Result result = gcvit("info --variant xxtiny --json");
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  const json info = json::parse(result.out);
  EXPECT_EQ(keys_of(info), (Keys{"classes", "config", "layers", "macs", "parameters", "preprocess", "source", "target",
                                 "variant", "version"}));
  EXPECT_EQ(info["parameters"], 11'995'428);
  EXPECT_NEAR(info["macs"].get<double>(), 2.1e9, 0.05e9);
  std::vector<int> parameters;
  for (const json& layer : info["layers"]) parameters.push_back(layer["parameters"]);
  EXPECT_EQ(parameters, (std::vector<int>{45'632, 180'964, 688'456, 5'170'608, 5'395'744, 1'024, 0, 513'000}));
  EXPECT_EQ(info["layers"][1]["output_shape"], (json{28, 28, 128}));
  EXPECT_EQ(info["layers"][1]["before_downsample"], (json{56, 56, 64}));
  EXPECT_EQ(info["config"]["windows"][2], (json{14, 14}));
}

TEST_F(Cli, InfoDescribesAFile) {
  const Result text = gcvit("info -m m.safetensors -t 1");
  ASSERT_EQ(text.code, 0) << text.err;
  for (const char* part :
       {"dim 8, depths 2 2 2 2", "64x64 RGB", "7: red, Dark_Orange, yellow, green, blue, indigo, ...",
        "safetensors, canonical layout", "timm: ", "levels.3 (Level)", "SIMD target "}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " in\n" << text.out;
  }
  const json info = json::parse(gcvit("info -m m.safetensors --json").out);
  EXPECT_EQ(info["source"], (json{{"format", "safetensors"},
                                  {"layout", "canonical"},
                                  {"inferred", json::array()},
                                  {"tensors", {{"f32", info["source"]["tensors"]["f32"]}}}}));
  EXPECT_GT(info["source"]["tensors"]["f32"], 100);
  EXPECT_EQ(info["config"]["classes"], 7);
  EXPECT_EQ(info["variant"], "custom");
  EXPECT_EQ(info["classes"].size(), 7u);
  EXPECT_EQ(info["classes"][1], "Dark_Orange");
  EXPECT_EQ(info["preprocess"]["preset"], "timm");
  EXPECT_EQ(info["preprocess"]["image_size"], (json{64, 64}));
  EXPECT_EQ(info["preprocess"]["crop_pct"], 0.875);
}

TEST_F(Cli, ClassifyPrintsATableForPeople) {
  image(1);
  image(2);
  const Result result = gcvit("classify -m m.safetensors photo1.png photo2.png -k 3 -t 2");
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 8);
  EXPECT_TRUE(result.out.starts_with("photo1.png: "));
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '%'), 6);
}

TEST_F(Cli, ClassifyJsonHasTheContractsKeys) {
  image(1);
  const Result result = gcvit("classify -m m.safetensors photo1.png --json -k 99");
  ASSERT_EQ(result.code, 0) << result.err;
  const json object = json::parse(result.out);
  EXPECT_EQ(keys_of(object), (Keys{"errors", "model", "results"}));
  EXPECT_EQ(object["model"], "m.safetensors");
  EXPECT_EQ(object["errors"], json::array());
  ASSERT_EQ(object["results"].size(), 1u);
  EXPECT_EQ(keys_of(object["results"][0]), (Keys{"image", "label", "predictions"}));
  EXPECT_EQ(object["results"][0]["image"], "photo1.png");
  const json& predictions = object["results"][0]["predictions"];
  ASSERT_EQ(predictions.size(), 7u);
  double sum = 0;
  double last = 1;
  for (const json& one : predictions) {
    EXPECT_EQ(keys_of(one), (Keys{"index", "label", "probability"}));
    EXPECT_EQ(one["label"], testing::colour_names()[one["index"].get<std::size_t>()]);
    EXPECT_LE(one["probability"].get<double>(), last);
    last = one["probability"];
    sum += last;
  }
  EXPECT_NEAR(sum, 1.0, 1e-5);
}

TEST_F(Cli, ClassifyTakesFoldersListsAndStdin) {
  std::filesystem::create_directory(folder / "many");
  for (unsigned i = 0; i < 3; ++i) write_text(folder / ("many/" + std::to_string(i) + ".png"), testing::blob_png(i));
  image(0);
  write_text(folder / "list", "photo0.png\nmany/2.png\n");
  const Result result = gcvit("classify -m m.safetensors many @list - --jsonl --batch 2 < photo0.png");
  ASSERT_EQ(result.code, 0) << result.err;
  std::vector<json> lines;
  for (std::istringstream stream(result.out); stream;) {
    std::string line;
    if (std::getline(stream, line)) lines.push_back(json::parse(line));
  }
  ASSERT_EQ(lines.size(), 6u);
  const char* const names[] = {"many/0.png", "many/1.png", "many/2.png", "photo0.png", "many/2.png", "-"};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(lines[i]["image"], names[i]);
  EXPECT_EQ(lines[3]["predictions"], lines[0]["predictions"]);
  EXPECT_EQ(lines[5]["predictions"], lines[0]["predictions"]);
  EXPECT_NE(lines[1]["predictions"], lines[0]["predictions"]);
}

TEST_F(Cli, BelowTheThresholdItIsUnsureAndThePredictionsStay) {
  image(1);
  const json plain = json::parse(gcvit("classify -m m.safetensors photo1.png --json").out)["results"][0];
  const json unsure = json::parse(gcvit("classify -m m.safetensors photo1.png --json --threshold 1").out)["results"][0];
  const json sure = json::parse(gcvit("classify -m m.safetensors photo1.png --jsonl --threshold 0").out);
  EXPECT_EQ(unsure["label"], "unsure");
  EXPECT_EQ(unsure["predictions"], plain["predictions"]);
  EXPECT_EQ(sure["label"], plain["predictions"][0]["label"]);
  EXPECT_TRUE(gcvit("classify -m m.safetensors photo1.png --threshold 1").out.starts_with("photo1.png: unsure\n"));
}

TEST_F(Cli, AFittedTemperatureIsUsedEverywhere) {
  weights::LoadedModel loaded = weights::load_model(model, {});
  loaded.info.temperature = 4.0;
  weights::save_model(folder / "t.safetensors", *loaded.model, loaded.info);
  image(1);
  const auto first = [&](const std::string& arguments) {
    return json::parse(gcvit("classify photo1.png --jsonl " + arguments).out);
  };
  const json plain = first("-m m.safetensors");
  const json fitted = first("-m t.safetensors");
  EXPECT_EQ(fitted["predictions"][0]["label"], plain["predictions"][0]["label"]);
  const double sure = plain["predictions"][0]["probability"];
  const double honest = fitted["predictions"][0]["probability"];
  EXPECT_LT(honest, sure);
  // log(p0 / p1) is the logits' difference by the temperature.
  const auto odds = [](const json& result) {
    return std::log(result["predictions"][0]["probability"].get<double>() /
                    result["predictions"][1]["probability"].get<double>());
  };
  EXPECT_NEAR(4.0 * odds(fitted), odds(plain), 1e-3);
  const std::string threshold = "--threshold " + std::to_string((sure + honest) / 2.0);
  EXPECT_NE(first("-m m.safetensors " + threshold)["label"], "unsure");
  EXPECT_EQ(first("-m t.safetensors " + threshold)["label"], "unsure");

  std::filesystem::create_directories(folder / "data/red");
  std::filesystem::rename(folder / "photo1.png", folder / "data/red/photo1.png");
  const json before = json::parse(gcvit("eval -m m.safetensors data --json").out);
  const json after = json::parse(gcvit("eval -m t.safetensors data --json").out);
  EXPECT_EQ(after["temperature"], 4.0);
  EXPECT_EQ(after["ece_uncalibrated"], before["ece"]);
  EXPECT_NE(after["ece"], before["ece"]);
  EXPECT_NE(gcvit("eval -m t.safetensors data").out.find("without the fitted temperature 4)"), std::string::npos);
}

TEST_F(Cli, ABrokenImageDoesNotAffectTheOthers) {
  image(1);
  image(2);
  write_text(folder / "cut.png", testing::blob_png(3).substr(0, 200));
  write_text(folder / "zero.jpg", "");
  const std::string all = "photo1.png cut.png missing.jpg zero.jpg photo2.png";
  const Result result = gcvit("classify -m m.safetensors --json " + all);
  EXPECT_EQ(result.code, 1);
  const json object = json::parse(result.out);
  ASSERT_EQ(object["results"].size(), 2u);
  EXPECT_EQ(object["results"][1]["image"], "photo2.png");
  ASSERT_EQ(object["errors"].size(), 3u);
  const char* const names[] = {"cut.png", "missing.jpg", "zero.jpg"};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(keys_of(object["errors"][i]), (Keys{"error", "image"}));
    EXPECT_EQ(object["errors"][i]["image"], names[i]);
    EXPECT_NE(object["errors"][i]["error"].get<std::string>().find(names[i]), std::string::npos);
    EXPECT_NE(result.err.find(names[i]), std::string::npos) << result.err;
  }
  EXPECT_NE(result.err.find("3 of 5 photos could not be classified"), std::string::npos) << result.err;

  const Result lines = gcvit("classify -m m.safetensors --jsonl " + all);
  EXPECT_EQ(lines.code, 1);
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 5);
  expect_failure("classify -m m.safetensors zero.jpg", "zero.jpg");
}

TEST_F(Cli, EveryBadModelFileIsOneSentence) {
  image(1);
  write_text(folder / "empty.safetensors", "");
  write_text(folder / "cut.safetensors", read_text(model).substr(0, 5000));
  write_text(folder / "text.safetensors", "I am a model, believe me.");
  std::string hostile = read_text(model);
  hostile[6] = '\x7f';  // the header's length: 2^54 bytes
  write_text(folder / "hostile.safetensors", hostile);
  formats::RawFile raw = formats::read_safetensors(model);
  for (formats::NamedTensor& entry : raw.tensors) {
    if (entry.name != "norm.weight") continue;
    entry.tensor = Tensor::from_values(entry.tensor.dims(), entry.tensor.values());
    entry.tensor.mutable_values()[3] = NAN;
  }
  formats::write_safetensors(folder / "nan.safetensors", raw.tensors, raw.metadata);
  std::filesystem::create_directory(folder / "folder.safetensors");

  for (const std::string command : {"info", "classify photo1.png", "eval .", "bench --seconds 0"}) {
    expect_failure(command + " -m none.safetensors", "none.safetensors");
    expect_failure(command + " -m folder.safetensors", "folder.safetensors");
    expect_failure(command + " -m empty.safetensors", "empty.safetensors");
    expect_failure(command + " -m cut.safetensors", "cut.safetensors");
    expect_failure(command + " -m text.safetensors", "text.safetensors");
    expect_failure(command + " -m hostile.safetensors", "hostile.safetensors");
    expect_failure(command + " -m nan.safetensors", "norm.weight");
  }
  expect_failure("info --variant giant", "xxtiny");
}

TEST_F(Cli, TheBundledModelServesWhereNoneIsGiven) {
  image(1);
  std::filesystem::create_directory(folder / "models");
  std::filesystem::copy_file(model, folder / "models/gcvit_flowers.safetensors");
  const Result result = shell("GCVIT_MODELS=models \"$G\" classify photo1.png --json");
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(json::parse(result.out)["model"], "models/gcvit_flowers.safetensors");
}

TEST_F(Cli, PreprocessAndForwardAreClassifyInTwoSteps) {
  const std::string images = image(1) + " " + image(2) + " " + image(3);
  ASSERT_EQ(gcvit("preprocess -m m.safetensors -o x.npy " + images).code, 0);
  ASSERT_EQ(gcvit("forward -m m.safetensors x.npy -o y.npz --batch 2").code, 0);
  EXPECT_EQ(formats::read_npy(folder / "x.npy").dims(), (Dims{3, 64, 64, 3}));

  ASSERT_EQ(shell("unzip -q y.npz -d y 2>&1 || python3 -m zipfile -e y.npz y").code, 0);
  const std::pair<const char*, Dims> outputs[] = {{"logits", {3, 7}},         {"pooled", {3, 64}},
                                                  {"level1", {3, 16, 16, 8}}, {"level2", {3, 8, 8, 16}},
                                                  {"level3", {3, 4, 4, 32}},  {"level4", {3, 2, 2, 64}}};
  for (const auto& [name, dims] : outputs) {
    EXPECT_EQ(formats::read_npy(folder / ("y/" + std::string(name) + ".npy")).dims(), dims) << name;
  }
  const Tensor logits = formats::read_npy(folder / "y/logits.npy");
  const json results = json::parse(gcvit("classify -m m.safetensors --json -k 7 " + images).out)["results"];
  for (std::size_t i = 0; i < 3; ++i) {
    const std::span<const float> row = logits.values().subspan(7 * i, 7);
    double sum = 0;
    for (const float value : row) sum += std::exp(static_cast<double>(value));
    for (const json& one : results[i]["predictions"]) {
      EXPECT_NEAR(one["probability"].get<double>(), std::exp(static_cast<double>(row[one["index"]])) / sum, 1e-6);
    }
  }
}

TEST_F(Cli, OtherImageSizesWorkFromImageToClass) {
  image(1);
  for (const std::string mode : {"exact", "fixed"}) {
    const std::string options = " -m m.safetensors --image-size 96x128 --window-mode " + mode;
    const json info = json::parse(gcvit("info --json" + options).out);
    EXPECT_EQ(info["config"]["image_size"], (json{96, 128}));
    EXPECT_EQ(info["config"].contains("native_image_size"), mode == "fixed");
    EXPECT_EQ(info["source"]["inferred"].size(), 2u) << "what was changed and how";
    ASSERT_EQ(gcvit("preprocess photo1.png -o x.npy" + options).code, 0);
    EXPECT_EQ(formats::read_npy(folder / "x.npy").dims(), (Dims{1, 96, 128, 3}));
    const Result forward = gcvit("forward x.npy -o y.npz" + options);
    ASSERT_EQ(forward.code, 0) << forward.err;
    const Result classify = gcvit("classify photo1.png --json -k 1" + options);
    ASSERT_EQ(classify.code, 0) << classify.err;
    EXPECT_EQ(gcvit("bench --batch 1 -t 1 --seconds 0" + options).code, 0);
  }
  expect_failure("classify -m m.safetensors photo1.png --image-size 100", "96 or 128");
}

TEST_F(Cli, PreprocessNeedsNoModelWithPresetAndSize) {
  image(1);
  for (const char* preset : {"keras", "keras-train", "timm", "nvlabs"}) {
    const Result result =
        gcvit(std::string("preprocess photo1.png -o x.npy --image-size 48x80 --preprocess ") + preset);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(formats::read_npy(folder / "x.npy").dims(), (Dims{1, 48, 80, 3}));
  }
}

TEST_F(Cli, OutputsAppearWholeOrNotAtAll) {
  image(1);
  write_text(folder / "zero.jpg", "");
  const std::size_t before = files_left();
  expect_failure("preprocess -m m.safetensors photo1.png zero.jpg -o x.npy", "zero.jpg");
  expect_failure("preprocess -m m.safetensors photo1.png -o none/x.npy", "none/x.npy");
  expect_failure("forward -m m.safetensors missing.npy -o y.npz", "missing.npy");
  EXPECT_EQ(files_left(), before);
}

TEST_F(Cli, ForwardRefusesWhatIsNotItsInput) {
  const auto npy = [&](const char* name, const Dims& dims, float value) {
    Tensor tensor(DType::kF32, dims);
    for (float& one : tensor.mutable_values()) one = value;
    formats::write_npy(folder / name, tensor);
  };
  npy("small.npy", {1, 32, 32, 3}, 0);
  npy("flat.npy", {64, 64, 3}, 0);
  npy("none.npy", {0, 64, 64, 3}, 0);
  npy("nan.npy", {1, 64, 64, 3}, NAN);
  npy("nchw.npy", {1, 3, 64, 64}, 0);
  std::string doubles = read_text(folder / "small.npy");
  doubles.replace(doubles.find("<f4"), 3, "<f8");
  write_text(folder / "doubles.npy", doubles);
  expect_failure("forward -m m.safetensors small.npy -o y.npz",
                 "expected [N, 64, 64, 3] with N at least 1, found [1, 32, 32, 3]");
  expect_failure("forward -m m.safetensors flat.npy -o y.npz", "found [64, 64, 3]");
  expect_failure("forward -m m.safetensors none.npy -o y.npz", "none.npy");
  expect_failure("forward -m m.safetensors nchw.npy -o y.npz", "found [1, 3, 64, 64]");
  expect_failure("forward -m m.safetensors doubles.npy -o y.npz", "doubles.npy");
  expect_failure("forward -m m.safetensors nan.npy -o y.npz", "not finite");
  expect_failure("forward -m m.safetensors m.safetensors -o y.npz", "m.safetensors");
  EXPECT_FALSE(std::filesystem::exists(folder / "y.npz"));
}

TEST_F(Cli, BenchReportsEveryRow) {
  const Result result = gcvit("bench -m m.safetensors --batch 1,2 -t 1,2 --seconds 0 --json");
  ASSERT_EQ(result.code, 0) << result.err;
  const json object = json::parse(result.out);
  EXPECT_EQ(keys_of(object), (Keys{"cpu", "roof_gflops", "rows", "target", "version"}));
  EXPECT_GT(object["roof_gflops"].get<double>(), 0);
  ASSERT_EQ(object["rows"].size(), 4u);
  EXPECT_EQ(object["rows"][3]["threads"], 2);
  EXPECT_EQ(object["rows"][3]["batch"], 2);
  for (const json& row : object["rows"]) {
    EXPECT_EQ(keys_of(row), (Keys{"batch", "dtype", "gflops", "images_per_second", "median_ms", "model", "p90_ms",
                                  "percent_of_roof", "threads"}));
    EXPECT_GT(row["median_ms"].get<double>(), 0);
    EXPECT_GE(row["p90_ms"].get<double>(), row["median_ms"].get<double>());
    EXPECT_GT(row["percent_of_roof"].get<double>(), 0);
  }
}

TEST_F(Cli, WhenTheReaderHasGoneItEndsQuietly) {
  std::filesystem::create_directory(folder / "many");
  for (unsigned i = 0; i < 40; ++i) write_text(folder / ("many/" + std::to_string(i) + ".png"), testing::blob_png(i));
  const Result result =
      shell("{ \"$G\" classify -m m.safetensors --jsonl many --batch 1; echo code $? >&2; } | head -n 1");
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1);
  EXPECT_EQ(result.err, "code 0\n");
}

TEST_F(Cli, OutputThatCantBeWrittenIsAnError) {
  image(1);
  const Result result = gcvit("classify -m m.safetensors photo1.png --json > /dev/full");
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("standard output: can't be written"), std::string::npos) << result.err;
}

TEST_F(Cli, MaxMemoryIsHeldAgainstWhatARunNeeds) {
  write_text(folder / "a.png", testing::blob_png(1));
  expect_failure("classify a.png -m m.safetensors --max-memory 20M",
                 "20 MiB allowed; a larger --max-memory allows more");
  expect_failure("classify a.png -m m.safetensors --image-size 16384 --window-mode fixed --max-memory 2G",
                 "2.0 GiB allowed");
  expect_failure("bench --variant xxtiny --batch 1024 --max-memory 1G", "1024 images of 224x224 at a time");
  expect_failure("convert m.safetensors x.safetensors --num-classes 1000000 --max-memory 10M",
                 "the model's parameters");
  EXPECT_EQ(gcvit("classify a.png -m m.safetensors --max-memory 1G").code, 0);
  // Shapes alone need no memory.
  EXPECT_EQ(gcvit("info -m m.safetensors --image-size 16384 --window-mode fixed --max-memory 20M").code, 0);
  expect_usage_error("classify a.png --max-memory much", "--max-memory");
}

}  // namespace
}  // namespace gcvit
