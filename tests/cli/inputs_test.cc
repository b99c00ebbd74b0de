// SPDX-License-Identifier: Apache-2.0
// What a user may name that is no file like others: pipes, sockets, devices, lists through pipes; and files that run out.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/cli/program.h"
#include "formats/safetensors.h"

namespace gcvit {
namespace {

using nlohmann::json;
using weights::read_text;
using weights::write_text;

class Inputs : public Cli {
 protected:
  Inputs() {
    unsigned seed = 0;
    for (const char* name : {"blue", "green", "red"}) {
      std::filesystem::create_directories(folder / ("photos/" + std::string(name)));
      for (int i = 0; i < 6; ++i) {
        write_text(folder / ("photos/" + std::string(name) + "/" + std::to_string(i) + ".png"),
                   testing::blob_png(seed++));
      }
    }
  }

  /// A pipe, a socket and a device among the photos; all names sort before the photos.
  void add_strange_images(const std::string& where) {
    mkfifo((folder / (where + "/+fifo.png")).c_str(), 0600);
    std::filesystem::create_symlink("/dev/zero", folder / (where + "/+zero.jpg"));
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (folder / (where + "/+socket.png")).c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::close(socket);
  }

  Result in_time(const std::string& arguments) { return shell("timeout -s KILL 60 \"$G\" " + arguments); }
};

TEST_F(Inputs, WhatIsNoRegularFileAmongImagesIsItsOwnErrorAndNeverWaitedFor) {
  add_strange_images("photos/red");
  const Result classified = in_time("classify -m m.safetensors photos --json");
  EXPECT_EQ(classified.code, 1) << classified.err;
  const json object = json::parse(classified.out);
  EXPECT_EQ(object["results"].size(), 18u);
  ASSERT_EQ(object["errors"].size(), 3u);
  EXPECT_EQ(object["errors"][0]["error"], "[image] photos/red/+fifo.png: expected a regular file, found a pipe");
  EXPECT_EQ(object["errors"][1]["error"], "[image] photos/red/+socket.png: expected a regular file, found a socket");
  EXPECT_EQ(object["errors"][2]["error"], "[image] photos/red/+zero.jpg: expected a regular file, found a device");

  const Result evaluated = in_time("eval -m m.safetensors photos --json");
  EXPECT_EQ(evaluated.code, 1) << evaluated.err;
  EXPECT_EQ(json::parse(evaluated.out)["count"], 18);
  EXPECT_EQ(json::parse(evaluated.out)["skipped"], 3);

  for (const std::string extra : {"", " --linear-probe"}) {
    const Result trained = in_time(
        "train photos -m m.safetensors -t 2 --batch-size 4 --epochs 1 --val-split 0.4 -o 'run" + extra + "'" + extra);
    EXPECT_EQ(trained.code, 0) << trained.err;
    for (const char* part : {"+fifo.png: expected a regular file, found a pipe: skipped",
                             "+socket.png: expected a regular file, found a socket: skipped",
                             "+zero.jpg: expected a regular file, found a device: skipped"}) {
      EXPECT_NE(trained.err.find(part), std::string::npos) << part << "\n" << trained.err;
    }
  }
}

TEST_F(Inputs, ModelsAndTheirCompanionsAreOpenedLikewise) {
  mkfifo((folder / "pipe").c_str(), 0600);
  mkfifo((folder / "pipe.csv").c_str(), 0600);
  mkfifo((folder / "pipe.tar").c_str(), 0600);
  mkfifo((folder / "pipe.json").c_str(), 0600);
  mkfifo((folder / "pipe.npy").c_str(), 0600);
  mkfifo((folder / "x-train.tfrecord").c_str(), 0600);
  for (const std::string arguments :
       {"classify -m pipe photos", "info -m pipe", "info -m pipe.json", "convert pipe x.safetensors",
        "eval -m m.safetensors pipe.csv", "eval -m m.safetensors pipe.tar", "eval -m m.safetensors x-train.tfrecord",
        "forward -m m.safetensors pipe.npy -o x.npz", "train photos --variant pipe.json -o run",
        "classify -m m.safetensors pipe", "classify -m m.safetensors @list_of_pipe",
        "train photos -m m.safetensors --soft-labels pipe -o run2"}) {
    write_text(folder / "list_of_pipe", "pipe\n");
    const Result result = in_time(arguments);
    EXPECT_EQ(result.code, 1) << arguments << "\n" << result.err;
    EXPECT_NE(result.err.find(": expected a regular file, found a pipe"), std::string::npos) << arguments << "\n"
                                                                                             << result.err;
  }
}

TEST_F(Inputs, ListsMayComeThroughPipes) {
  const std::string names = "photos/red/0.png\\r\\nphotos/blue/1.png\\n";
  const Result expected = shell("printf '" + names + "' > list; \"$G\" classify -m m.safetensors @list --jsonl");
  EXPECT_EQ(expected.code, 0) << expected.err;
  EXPECT_EQ(std::count(expected.out.begin(), expected.out.end(), '\n'), 2);
  const std::string classify = "\"$G\" classify -m m.safetensors --jsonl ";
  EXPECT_EQ(shell("printf '" + names + "' | " + classify + "@/dev/stdin").out, expected.out);
  EXPECT_EQ(shell("mkfifo f; (sleep 0.3; printf '" + names + "') > f & " + classify + "@f").out, expected.out);
  EXPECT_EQ(shell("bash -c 'G=$0; " + classify + "@<(printf \"" + names + "\")' \"$G\"").out, expected.out);

  const Result evaluated =
      shell("printf 'red/0.png\\nblue/1.png\\n' | \"$G\" eval -m m.safetensors photos --json --list /dev/stdin");
  EXPECT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_EQ(json::parse(evaluated.out)["count"], 2);
  const Result trained = shell(
      "printf 'red/0.png\\nblue/1.png\\n' | \"$G\" train photos -m m.safetensors -t 2 --linear-probe --epochs 1 "
      "--val-list "
      "/dev/stdin -o run");
  EXPECT_EQ(trained.code, 0) << trained.err;
  EXPECT_NE(trained.err.find("16 photos to train on, 2 to validate"), std::string::npos) << trained.err;
}

TEST_F(Inputs, BadListsAreOneSentence) {
  write_text(folder / "zero", std::string("photos/red/0.png\nph\0to\n", 23));
  std::filesystem::create_directory(folder / "folder");
  expect_failure("classify -m m.safetensors @zero", "zero: line 2: has a zero byte in it");
  expect_failure("classify -m m.safetensors @/dev/zero", "/dev/zero: line 1: has a zero byte in it");
  expect_failure("classify -m m.safetensors @folder", "expected a list of photos, found a folder");
  expect_failure("classify -m m.safetensors @/proc/self/mem", "/proc/self/mem: can't be read: Input/output error");
  expect_failure("eval -m m.safetensors photos --list /proc/self/mem", "can't be read: Input/output error");
  expect_failure("train photos -m m.safetensors --val-list /proc/self/mem -o run", "can't be read: Input/output error");
  expect_failure("classify -m m.safetensors @/dev/null", "expected a path a line, found none");
}

TEST_F(Inputs, WaitingForAListHearsTheFirstSignal) {
  for (const std::string signal : {"INT", "TERM"}) {
    // Opening the pipe for writing waits until the program has opened it for reading.
    const Result result = shell("mkfifo f" + signal + "; \"$G\" train photos -m m.safetensors --val-list f" + signal +
                                " -o run" + signal + " & exec 9> f" + signal + "; kill -" + signal + " $!; wait $!");
    EXPECT_EQ(result.code, 130) << result.err;
    EXPECT_NE(result.err.find("stopped before the first step"), std::string::npos) << result.err;
  }
}

TEST_F(Inputs, FileDescriptorsThatRunOutAreNoBadImages) {
  // Once the model is open and the list waited for, no more descriptors than the standard ones are left. (Looking for leaks
  // at the end would take one.)
  const Result result = shell(
      "export ASAN_OPTIONS=detect_leaks=0; mkfifo f; \"$G\" eval -m m.safetensors photos --list f & exec 9> f; prlimit "
      "--pid $! --nofile=3:3; "
      "printf 'red/0.png\\nblue/1.png\\n' >&9; exec 9>&-; wait $!");
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err,
            "gcvit: [data] photos: class folders: 2 photos of 3 classes: red 1, green 0, blue 1\n"
            "gcvit: [data] photos/blue/1.png: can't be read: Too many open files\n");
}

TEST_F(Inputs, NumbersInJsonThatNothingHoldsAreOneSentence) {
  formats::RawFile raw = formats::read_safetensors(model);
  const auto with = [&](const std::string& key, const std::string& text) {
    std::map<std::string, std::string> metadata = raw.metadata;
    metadata[key] = text;
    formats::write_safetensors(folder / "bad.safetensors", raw.tensors, metadata);
  };
  std::string config = raw.metadata.at("gcvit.config");
  config.replace(config.find("\"mlp_ratio\":") + 12, 3, "1e999");
  with("gcvit.config", config);
  expect_failure("info -m bad.safetensors", "gcvit.config: byte");
  for (const char* const key :
       {"gcvit.classes", "gcvit.preprocess", "gcvit.source", "gcvit.calibration", "gcvit.format"}) {
    with(key, "[1e999]");
    expect_failure("info -m bad.safetensors", std::string(key) + ": byte 5: expected a number that a double holds");
  }
  with("gcvit.preprocess", R"({"preset":"timm","std":[1e300,1,1]})");
  expect_failure("classify -m bad.safetensors photos",
                 "gcvit.preprocess: std[0]: expected a number that a float holds");
  with("gcvit.preprocess", R"({"preset":"timm","image_size":[64.5,64]})");
  expect_failure("classify -m bad.safetensors photos", "gcvit.preprocess: image_size[0]: expected an integer");
  with("gcvit.calibration", R"({"temperature":1,"temperature":2})");
  expect_failure("info -m bad.safetensors", "gcvit.calibration: the key \"temperature\" appears twice");
}

}  // namespace
}  // namespace gcvit
