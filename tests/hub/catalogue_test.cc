// SPDX-License-Identifier: Apache-2.0
#include "hub/catalogue.h"

#include <gtest/gtest.h>

#include <set>

namespace gcvit::hub {
namespace {

TEST(CatalogueTest, EachFileHasANameAndAPlaceOfItsOwn) {
  std::set<std::string> names;
  std::set<std::string> file_names;
  for (const OfficialFile& file : official_files()) {
    EXPECT_TRUE(names.insert(file.name).second) << file.name;
    EXPECT_TRUE(file_names.insert(file.file_name).second) << file.file_name;
    EXPECT_TRUE(file.url.starts_with("https://")) << file.url;
    EXPECT_TRUE(file.url.ends_with("/" + file.file_name)) << file.url;
    EXPECT_EQ(file.sha256.find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_EQ(find_official(file.name)->url, file.url);
  }
  EXPECT_EQ(names.size(), 21u);
}

TEST(CatalogueTest, AnExampleOfEachProducer) {
  const OfficialFile keras = *find_official("gcvit_xxtiny.keras");
  EXPECT_EQ(keras.url, "https://github.com/awsaf49/gcvit-tf/releases/download/v1.1.6/gcvitxxtiny.keras");
  EXPECT_EQ(keras.size, 48'767'519u);
  EXPECT_EQ(keras.sha256, "");
  EXPECT_EQ(find_official("gcvit_tiny.keras")->url,
            "https://github.com/awsaf49/gcvit-tf/releases/download/v1.1.1/gcvit_tiny_weights.h5");
  const OfficialFile timm = *find_official("gcvit_base.timm");
  EXPECT_EQ(timm.url,
            "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights-morevit/"
            "gcvit_base_224_nvidia-f009139b.pth");
  EXPECT_EQ(timm.sha256, "f009139b");
  EXPECT_EQ(find_official("gcvit_large_512.nvlabs")->url,
            "https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_21k_large_512.pth.tar");
}

TEST(CatalogueTest, WithoutAProducerItIsWhatTheKerasExampleLoadsElseNvlabs) {
  EXPECT_EQ(find_official("gcvit_xxtiny")->name, "gcvit_xxtiny.keras");
  for (const char* name : {"gcvit_xtiny", "gcvit_tiny2", "gcvit_base", "gcvit_large_384"}) {
    EXPECT_EQ(find_official(name)->name, name + std::string(".nvlabs"));
  }
  for (const char* name : {"", "xxtiny", "gcvit_", "gcvit_huge", "gcvit_large.timm", "gcvit_xxtiny.nvlabs.nvlabs"}) {
    EXPECT_FALSE(find_official(name)) << name;
  }
}

}  // namespace
}  // namespace gcvit::hub
