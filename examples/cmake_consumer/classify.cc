// SPDX-License-Identifier: Apache-2.0
// Names photos: classify MODEL.safetensors PHOTO...
#include <gcvit/classifier.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::cerr << "usage: classify MODEL.safetensors PHOTO...\n";
    return 2;
  }
  gcvit::Classifier classifier(argv[1]);
  for (int i = 2; i < argc; ++i) {
    const gcvit::Prediction best = classifier.classify(gcvit::Image::file(argv[i]), 1).front();
    std::cout << argv[i] << ": " << best.label << ' ' << best.probability << '\n';
  }
} catch (const gcvit::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
