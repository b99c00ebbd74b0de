// SPDX-License-Identifier: Apache-2.0
// Completion scripts and manual pages, as the shells and readers that are installed here take them.
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli/program.h"

namespace gcvit {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct Completion : Cli {
  bool installed(const std::string& program) { return shell("command -v " + program).code == 0; }

  /// What bash offers for the last word of a command line, separated by spaces.
  std::string offered(const std::string& words) {
    weights::write_text(folder / "ask.bash",
                        "source ./gcvit.bash\nCOMP_WORDS=(" + words +
                            ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_gcvit\necho \"${COMPREPLY[*]}\"\n");
    EXPECT_EQ(gcvit("completion bash > gcvit.bash").code, 0);
    const Result result = shell("bash ask.bash");
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "") << words;
    return result.out.substr(0, result.out.find('\n'));
  }
};

TEST_F(Completion, BashOffersCommandsFlagsChoicesAndFiles) {
  if (!installed("bash")) GTEST_SKIP() << "no bash";
  EXPECT_EQ(offered("gcvit cl"), "classify");
  EXPECT_EQ(offered("gcvit con"), "convert");
  EXPECT_EQ(offered("gcvit classify --js"), "--json --jsonl");
  EXPECT_EQ(offered("gcvit classify --preprocess ''"), "auto keras keras-train timm nvlabs");
  EXPECT_EQ(offered("gcvit classify --preprocess = ke"), "keras keras-train");
  EXPECT_EQ(offered("gcvit classify --preprocess ="), "auto keras keras-train timm nvlabs");
  EXPECT_EQ(offered("gcvit train --optimizer ad"), "adam adamw");
  EXPECT_EQ(offered("gcvit info --variant xx"), "xxtiny");
  EXPECT_EQ(offered("gcvit classify --batch ''"), "");
  EXPECT_EQ(offered("gcvit classify -m m.s"), "m.safetensors");
  EXPECT_EQ(offered("gcvit info m"), "m.safetensors");
  EXPECT_EQ(offered("gcvit help qu"), "quantize");
  EXPECT_EQ(offered("gcvit completion z"), "zsh");
  EXPECT_EQ(offered("gcvit pull gcvit_xxtiny.k"), "gcvit_xxtiny.keras");
}

TEST_F(Completion, ZshAndFishTakeTheirScripts) {
  const std::string zsh = gcvit("completion zsh").out;
  EXPECT_TRUE(zsh.starts_with("#compdef gcvit\n")) << zsh;
  EXPECT_TRUE(has(zsh, "'classify:Classify photos'"));
  EXPECT_TRUE(has(zsh, "--preprocess'[How photos become tensors]:value:(auto keras keras-train timm nvlabs)'")) << zsh;
  EXPECT_TRUE(has(zsh, "'(-m --model)'{-m,--model}'["));
  const std::string fish = gcvit("completion fish").out;
  EXPECT_TRUE(has(fish, "complete -c gcvit -n __fish_use_subcommand -f -a classify -d 'Classify photos'\n")) << fish;
  EXPECT_TRUE(has(fish, "from classify' -l preprocess -x -a 'auto keras keras-train timm nvlabs' -d '")) << fish;
  weights::write_text(folder / "gcvit.zsh", zsh);
  weights::write_text(folder / "gcvit.fish", fish);
  if (installed("zsh")) {
    const Result result = shell("zsh -n gcvit.zsh");
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
  }
  if (installed("fish")) {
    const Result result = shell("fish --no-execute gcvit.fish");
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    EXPECT_TRUE(has(shell("fish -c 'source gcvit.fish; complete -C \"gcvit cl\"'").out, "classify"));
  }
  expect_usage_error("completion tcsh", "tcsh");
}

TEST_F(Completion, ManualPagesHaveNoMistakes) {
  std::filesystem::create_directory(folder / "pages");
  EXPECT_EQ(gcvit("man --to pages").code, 0);
  std::size_t pages = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "pages")) {
    const std::string text = weights::read_text(entry.path().string());
    EXPECT_TRUE(has(text, ".TH GCVIT")) << entry.path();
    EXPECT_TRUE(has(text, ".SH NAME\ngcvit")) << entry.path();
    ++pages;
  }
  EXPECT_EQ(pages, 20u);
  EXPECT_EQ(gcvit("man train").out, weights::read_text(folder / "pages/gcvit-train.1"));
  EXPECT_EQ(gcvit("man").out, weights::read_text(folder / "pages/gcvit.1"));
  if (installed("groff")) {
    const Result result = shell("for page in pages/*; do groff -man -ww -z $page || exit 1; done");
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    const std::string text = shell("groff -man -Tascii -P-cbou pages/gcvit-train.1").out;
    EXPECT_TRUE(has(text, "--label-smoothing N")) << text;
  }
  if (installed("mandoc")) {
    const Result result = shell("mandoc -T lint -W error pages/*");
    EXPECT_EQ(result.code, 0) << result.out << result.err;
  }
}

}  // namespace
}  // namespace gcvit
