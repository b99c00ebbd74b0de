// SPDX-License-Identifier: Apache-2.0
#include "train/run_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/weights/test_files.h"

namespace gcvit::train {
namespace {

namespace fs = std::filesystem;
using weights::write_text;

struct RunFolders : ::testing::Test {
  weights::TemporaryFolder folder;
  std::string path = folder / "a/b/run";

  std::string vacancy_error(const std::string& name) const {
    const RunFolder run(name);
    return weights::error_of([&] { run.check_vacant(); });
  }
};

TEST_F(RunFolders, OneThatDoesNotBeginTakesAllAwayAgain) {
  fs::create_directory(folder / "a");
  {
    RunFolder run(path);
    run.check_vacant();
    EXPECT_FALSE(fs::exists(folder / "a/b"));
    run.make();
    EXPECT_TRUE(fs::exists(path + "/checkpoint/lock"));
    write_text(run / "config.json", "{}");
    write_text(run / "steps.csv", "");
    write_text(run / "events.out.tfevents.1234567890.host", "");
    write_text(run.checkpoint(), "");
    write_text(run.checkpoint() + ".1.2.part", "");
  }
  EXPECT_FALSE(fs::exists(folder / "a/b"));
  EXPECT_TRUE(fs::exists(folder / "a"));
}

TEST_F(RunFolders, WhatWasThereBeforeStays) {
  fs::create_directories(path);
  {
    RunFolder run(path);
    run.make();
  }
  EXPECT_TRUE(fs::is_empty(path));
  {
    RunFolder run(path);
    run.make();
    write_text(run / "notes.txt", "came in the meantime");
  }
  EXPECT_TRUE(fs::exists(path + "/notes.txt"));
  EXPECT_FALSE(fs::exists(path + "/checkpoint"));
}

TEST_F(RunFolders, OneThatBeganStays) {
  {
    RunFolder run(path);
    run.make();
    write_text(run / "config.json", "{}");
    run.keep();
  }
  EXPECT_TRUE(fs::exists(path + "/config.json"));
  EXPECT_TRUE(fs::exists(path + "/checkpoint/lock"));
}

TEST_F(RunFolders, AFolderWithOtherFilesIsRefused) {
  fs::create_directories(path);
  for (const char* name : {"notes.part", "config.json", ".hidden", "checkpoint"}) {
    write_text(path + "/" + name, "mine");
    EXPECT_EQ(vacancy_error(path),
              "[train] " + path + ": expected a folder that is empty or missing, found " + name + " in it, and no run");
    EXPECT_EQ(weights::read_text(path + "/" + name), "mine");
    fs::remove(path + "/" + name);
  }
  fs::create_directories(path + "/checkpoint");
  write_text(path + "/checkpoint/epoch1.pt", "mine");
  EXPECT_NE(vacancy_error(path).find("found checkpoint in it"), std::string::npos);
}

TEST_F(RunFolders, ARunIsRefused) {
  fs::create_directories(path + "/checkpoint");
  write_text(path + "/checkpoint/state.safetensors", "");
  EXPECT_EQ(vacancy_error(path + "/"),
            "[train] " + path + ": holds a run already: --resume goes on with it, another -o begins a new one");
}

TEST_F(RunFolders, AStartThatWasKilledLeftAnEmptyFolder) {
  fs::create_directories(path + "/checkpoint");
  write_text(path + "/checkpoint/lock", "");
  write_text(path + "/checkpoint/state.safetensors.12.3.part", "half");
  RunFolder run(path);
  run.check_vacant();
  run.make();
  EXPECT_FALSE(fs::exists(path + "/checkpoint/state.safetensors.12.3.part"));
}

TEST_F(RunFolders, OnlyTemporariesOfItsOwnFilesAreCleared) {
  fs::create_directories(path + "/checkpoint");
  const std::vector<std::string> kept = {"notes.part",       "notes.1.2.part",   "log.csv.part",
                                         "log.csv.1.part",   "log.csv.1.x.part", "last.safetensors",
                                         "1.2.part",         ".1.2.part",        "checkpoint/notes.1.2.part",
                                         "checkpoint/x.part"};
  const std::vector<std::string> cleared = {"log.csv.1.2.part", "best.safetensors.7.0.part", "report.html.1.2.part",
                                            "checkpoint/state.safetensors.999.0.part"};
  for (const auto* names : {&kept, &cleared}) {
    for (const std::string& name : *names) write_text(path + "/" + name, "x");
  }
  fs::create_directory(path + "/log.csv.1.3.part");
  fs::create_symlink("notes.part", path + "/log.csv.1.4.part");
  RunFolder(path).clear_half_written();
  for (const std::string& name : kept) EXPECT_TRUE(fs::exists(path + "/" + name)) << name;
  for (const std::string& name : cleared) EXPECT_FALSE(fs::exists(path + "/" + name)) << name;
  EXPECT_TRUE(fs::exists(path + "/log.csv.1.3.part"));
  EXPECT_TRUE(fs::is_symlink(path + "/log.csv.1.4.part"));
}

TEST_F(RunFolders, WhatIsNoFolderIsRefused) {
  const std::string file = folder / "file";
  write_text(file, "mine");
  EXPECT_EQ(vacancy_error(file), "[train] " + file + ": expected a folder, found a file");
  EXPECT_EQ(vacancy_error(file + "/run"), "[train] " + file + "/run: expected a folder, found a file: " + file);
  fs::create_symlink("nowhere", folder / "link");
  EXPECT_NE(vacancy_error(folder / "link").find("is a link to nothing"), std::string::npos);
  EXPECT_NE(vacancy_error(folder / "link/run").find("is a link to nothing"), std::string::npos);
  EXPECT_NE(vacancy_error(folder / "new/../run").find("\"..\" stands behind a folder that is missing"),
            std::string::npos);
  EXPECT_NE(vacancy_error("").find("an empty name"), std::string::npos);
  EXPECT_EQ(folder.files(), 2u);
}

TEST_F(RunFolders, InsideTheImagesIsRefused) {
  data::ImageSet set;
  set.root = folder / "photos/";
  fs::create_directories(folder / "photos/blue/deep");
  fs::create_directories(folder / "elsewhere/red");
  fs::create_directory_symlink("../elsewhere/red", folder / "photos/red");
  fs::create_directory_symlink("photos", folder / "link");
  for (const char* name : {"blue/deep/1.png", "red/1.png"}) set.samples.push_back({name, 0, set.root + name});
  for (const char* name : {"photos", "photos/run", "photos/new/run", "photos/blue/deep/run", "link/run",
                           "photos/../link/blue/run", "elsewhere/red/run", "elsewhere/./red/../red/run"}) {
    const RunFolder run(folder / name);
    EXPECT_NE(weights::error_of([&] { run.check_outside(set); }).find(": expected a folder outside "),
              std::string::npos)
        << name;
  }
  for (const char* name : {"run", "photos2", "photos.run", "elsewhere/run", "photos/../run"}) {
    EXPECT_NO_THROW(RunFolder(folder / name).check_outside(set)) << name;
  }
  // A list names its photos one by one.
  set.root = folder / "photos/list.csv";
  write_text(set.root, "");
  EXPECT_NO_THROW(RunFolder(folder / "photos/run").check_outside(set));
}

TEST_F(RunFolders, InsideAFolderOfShardsIsRefused) {
  data::ImageSet set;
  set.root = folder / "flowers";
  fs::create_directories(folder / "flowers/3.0.1");
  set.samples.push_back({"x-1", 0, folder / "flowers/3.0.1/x.tfrecord", 10, 20});
  for (const char* name : {"flowers/run", "flowers/3.0.1/run"}) {
    const RunFolder run(folder / name);
    EXPECT_NE(weights::error_of([&] { run.check_outside(set); }).find(": expected a folder outside "),
              std::string::npos)
        << name;
  }
}

TEST_F(RunFolders, OneThatWaitsForARunTakesNothingOfItAway) {
  RunFolder first(path);
  first.make();
  write_text(first / "config.json", "{}");
  {
    RunFolder second(path);
    EXPECT_NE(weights::error_of([&] { second.make(); }).find("another process trains in this folder"),
              std::string::npos);
  }
  EXPECT_TRUE(fs::exists(path + "/config.json"));
  EXPECT_TRUE(fs::exists(path + "/checkpoint/lock"));
  write_text(first.checkpoint(), "");
  first.keep();
  {
    RunFolder third(path);
    EXPECT_NE(weights::error_of([&] { third.make(); }).find("another process trains"), std::string::npos);
  }
  EXPECT_TRUE(fs::exists(first.checkpoint()));
}

}  // namespace
}  // namespace gcvit::train
