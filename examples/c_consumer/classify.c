/* SPDX-License-Identifier: Apache-2.0 */
/* Names photos: classify MODEL.safetensors PHOTO... */
#include <gcvit/gcvit.h>
#include <stdio.h>

static int name(const gcvit_model* model, const char* photo) {
  gcvit_image* image = NULL;
  gcvit_prediction best;
  size_t found = 0;
  gcvit_status status = gcvit_image_file(photo, &image);
  if (status == GCVIT_OK) status = gcvit_classify(model, image, 1, &best, &found);
  if (status == GCVIT_OK) {
    printf("%s: %s %.4f\n", photo, best.label, best.probability);
  } else {
    fprintf(stderr, "%s: %s\n", gcvit_status_name(status), gcvit_error_message());
  }
  gcvit_image_free(image);
  return status != GCVIT_OK;
}

int main(int argc, char** argv) {
  gcvit_options options = GCVIT_OPTIONS_INIT; /* all defaults: NULL would do the same */
  gcvit_model* model = NULL;
  int failed = 0;
  if (argc < 3) {
    fprintf(stderr, "usage: classify MODEL.safetensors PHOTO...\n");
    return 2;
  }
  if (gcvit_model_open(argv[1], &options, &model) != GCVIT_OK) {
    fprintf(stderr, "%s\n", gcvit_error_message());
    return 1;
  }
  for (int i = 2; i < argc; ++i) failed |= name(model, argv[i]);
  gcvit_model_free(model);
  return failed;
}
