/* SPDX-License-Identifier: Apache-2.0 */
/* libgcvit.so as a program in C99 uses it: capi_test MODEL.safetensors PHOTOS */
#include <math.h>
#include <pthread.h>

#include "check.h"

enum { kClasses = 5, kPhotos = 5 };

static const char* const kNames[kPhotos] = {"daisy.jpg", "dandelion.jpg", "rose.jpg", "sunflower.jpg", "tulips.jpg"};
static const char* const kLabels[kPhotos] = {"daisy", "dandelion", "roses", "sunflowers", "tulips"};

static char paths[kPhotos][4096];

typedef struct bytes {
  unsigned char* data;
  size_t size;
} bytes;

static bytes read_file(const char* path) {
  bytes all = {NULL, 0};
  long size = 0;
  FILE* file = fopen(path, "rb");
  CHECK(file != NULL);
  CHECK(fseek(file, 0, SEEK_END) == 0);
  size = ftell(file);
  CHECK(size > 0);
  rewind(file);
  all.size = (size_t)size;
  all.data = malloc(all.size);
  CHECK(all.data != NULL);
  CHECK(fread(all.data, 1, all.size, file) == all.size);
  fclose(file);
  return all;
}

static gcvit_model* open_model(const char* path) {
  gcvit_model* model = NULL;
  gcvit_options options = GCVIT_OPTIONS_INIT;
  options.threads = 2;
  CHECK_OK(gcvit_model_open(path, &options, &model));
  return model;
}

static gcvit_image* open_image(const char* path) {
  gcvit_image* image = NULL;
  CHECK_OK(gcvit_image_file(path, &image));
  return image;
}

/* The numbers that programs were compiled with; abidiff sees only those of gcvit_status. */
static void has_the_numbers_of_the_first_version(void) {
  CHECK(GCVIT_PRECISION_AUTO == 0 && GCVIT_PRECISION_F32 == 1 && GCVIT_PRECISION_BF16 == 2 && GCVIT_PRECISION_INT8 == 3);
  CHECK(GCVIT_PREPROCESS_AUTO == 0 && GCVIT_PREPROCESS_TIMM == 1 && GCVIT_PREPROCESS_NVLABS == 2);
  CHECK(GCVIT_PREPROCESS_KERAS == 3 && GCVIT_PREPROCESS_KERAS_TRAIN == 4);
  CHECK(GCVIT_WINDOWS_EXACT == 0 && GCVIT_WINDOWS_FIXED == 1);
  CHECK(GCVIT_WEIGHTS_USUAL == 0 && GCVIT_WEIGHTS_AVERAGED == 1 && GCVIT_WEIGHTS_RAW == 2);
  CHECK(GCVIT_RGB == 0 && GCVIT_BGR == 1 && GCVIT_RGBA == 2 && GCVIT_BGRA == 3 && GCVIT_GREY == 4);
  CHECK(GCVIT_LEVEL1 == 0 && GCVIT_LEVEL2 == 1 && GCVIT_LEVEL3 == 2 && GCVIT_LEVEL4 == 3);
  CHECK(GCVIT_FEATURES == 4 && GCVIT_POOLED == 5);
}

static void says_what_a_model_is(const char* path) {
  gcvit_model* model = open_model(path);
  gcvit_info info = GCVIT_INFO_INIT;
  const char* text = NULL;
  int i = 0;
  CHECK_OK(gcvit_model_info(model, &info));
  CHECK(info.size == sizeof info);
  CHECK(info.image_height == 128 && info.image_width == 128 && info.classes == kClasses && info.threads == 2);
  CHECK(info.tensor_floats == (size_t)128 * 128 * 3);
  CHECK(info.precision >= GCVIT_PRECISION_F32 && info.precision <= GCVIT_PRECISION_INT8);
  CHECK(info.weight_bytes > 1000000);
  CHECK(strcmp(info.file, path) == 0 && strcmp(info.format, "safetensors") == 0);
  CHECK(strcmp(info.layout, "canonical") == 0 && strlen(info.preprocessing) > 10);
  for (i = 0; i < kClasses; ++i) {
    CHECK_OK(gcvit_class_name(model, i, &text));
    CHECK(strcmp(text, kLabels[i]) == 0);
  }
  CHECK_FAILS(gcvit_class_name(model, kClasses, &text), GCVIT_NOT_FOUND, "class: expected one of 5, from 0, found 5");
  CHECK_FAILS(gcvit_class_name(model, -1, &text), GCVIT_NOT_FOUND, "found -1");
  CHECK_FAILS(gcvit_model_notice(model, info.notices, &text), GCVIT_NOT_FOUND, "notice");
  gcvit_model_free(model);
}

static void names_known_photos(const gcvit_model* model) {
  int i = 0;
  for (i = 0; i < kPhotos; ++i) {
    gcvit_image* image = open_image(paths[i]);
    gcvit_prediction found[7];
    size_t number = 0;
    float sum = 0;
    size_t p = 0;
    CHECK_OK(gcvit_classify(model, image, 7, found, &number));
    CHECK(number == kClasses);
    CHECK(found[0].index == i && strcmp(found[0].label, kLabels[i]) == 0 && found[0].probability > 0.5f);
    for (p = 0; p < number; ++p) sum += found[p].probability;
    CHECK(fabsf(sum - 1) < 1e-5f);
    CHECK_OK(gcvit_classify(model, image, 1, found, &number));
    CHECK(number == 1 && found[0].index == i);
    gcvit_image_free(image);
  }
}

/* Files, bytes and tensors have the same bits, and so has a model that was opened from bytes. */
static void gives_the_same_bits_on_every_way(const gcvit_model* model, const char* model_path) {
  const bytes file = read_file(paths[2]);
  const bytes model_file = read_file(model_path);
  gcvit_image* images[2] = {open_image(paths[2]), NULL};
  gcvit_model* of_bytes = NULL;
  gcvit_info info = GCVIT_INFO_INIT;
  float first[2 * kClasses], second[2 * kClasses], probabilities[kClasses];
  float* tensors = NULL;
  CHECK_OK(gcvit_image_encoded(file.data, file.size, "a rose", &images[1]));
  CHECK_OK(gcvit_logits(model, (const gcvit_image* const*)images, 2, first, 2 * kClasses));
  CHECK(memcmp(first, first + kClasses, kClasses * sizeof(float)) == 0);

  CHECK_OK(gcvit_model_info(model, &info));
  tensors = malloc(2 * info.tensor_floats * sizeof(float));
  CHECK(tensors != NULL);
  CHECK_OK(gcvit_preprocess(model, images[0], tensors, info.tensor_floats));
  CHECK_OK(gcvit_preprocess(model, images[1], tensors + info.tensor_floats, info.tensor_floats));
  CHECK_OK(gcvit_logits_of_tensors(model, tensors, 2, second, 2 * kClasses));
  CHECK(memcmp(first, second, sizeof first) == 0);

  CHECK_OK(gcvit_probabilities(model, first, 1, probabilities, kClasses));
  CHECK(probabilities[2] > 0.5f && probabilities[2] <= 1);
  CHECK_FAILS(gcvit_preprocess(model, images[0], tensors, info.tensor_floats - 1), GCVIT_INVALID_ARGUMENT,
              "tensor: expected room for 49152 floats, found 49151");

  CHECK_OK(gcvit_model_open_bytes(model_file.data, model_file.size, NULL, NULL, &of_bytes));
  free(model_file.data);
  CHECK_OK(gcvit_logits(of_bytes, (const gcvit_image* const*)images, 1, second, kClasses));
  CHECK(memcmp(first, second, kClasses * sizeof(float)) == 0);
  gcvit_model_free(of_bytes);
  free(tensors);
  gcvit_image_free(images[0]);
  gcvit_image_free(images[1]);
  free(file.data);
}

static void takes_pixels_of_any_stride_and_order(const gcvit_model* model) {
  enum { kHeight = 30, kWidth = 40, kStride = kWidth * 4 + 12 };
  static unsigned char rgb[kHeight * kWidth * 3];
  static unsigned char bgra[kHeight * kStride];
  gcvit_image* images[2] = {NULL, NULL};
  float logits[2 * kClasses];
  int y = 0, x = 0, c = 0;
  memset(bgra, 77, sizeof bgra);
  for (y = 0; y < kHeight; ++y) {
    for (x = 0; x < kWidth; ++x) {
      for (c = 0; c < 3; ++c) {
        const unsigned char value = (unsigned char)(y * 7 + x * 3 + c * 50);
        rgb[(y * kWidth + x) * 3 + c] = value;
        bgra[y * kStride + x * 4 + (2 - c)] = value;
      }
    }
  }
  CHECK_OK(gcvit_image_pixels(rgb, sizeof rgb, kHeight, kWidth, GCVIT_RGB, 0, NULL, &images[0]));
  CHECK_OK(gcvit_image_pixels(bgra, sizeof bgra, kHeight, kWidth, GCVIT_BGRA, kStride, "b", &images[1]));
  CHECK_OK(gcvit_logits(model, (const gcvit_image* const*)images, 2, logits, 2 * kClasses));
  CHECK(memcmp(logits, logits + kClasses, kClasses * sizeof(float)) == 0);
  gcvit_image_free(images[0]);
  gcvit_image_free(images[1]);
  CHECK_FAILS(gcvit_image_pixels(rgb, sizeof rgb - 1, kHeight, kWidth, GCVIT_RGB, 0, "few", &images[0]),
              GCVIT_INVALID_ARGUMENT, "few");
  CHECK(images[0] == NULL);
  CHECK_FAILS(gcvit_image_pixels(rgb, sizeof rgb, kHeight, kWidth, 5, 0, NULL, &images[0]), GCVIT_INVALID_ARGUMENT,
              "order: expected 0 to 4, found 5");
  CHECK(gcvit_image_pixels(rgb, sizeof rgb, INT32_MAX, INT32_MAX, GCVIT_RGB, SIZE_MAX, NULL, &images[0]) ==
        GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_image_pixels(rgb, sizeof rgb, -1, kWidth, GCVIT_RGB, 0, NULL, &images[0]) == GCVIT_INVALID_ARGUMENT);
}

static void has_features(const gcvit_model* model) {
  gcvit_image* images[2] = {open_image(paths[0]), open_image(paths[4])};
  int32_t pooled[3], map[3];
  float *vectors = NULL, *maps = NULL;
  size_t floats = 0;
  int i = 0, p = 0, c = 0;
  CHECK_OK(gcvit_feature_shape(model, GCVIT_POOLED, pooled));
  CHECK_OK(gcvit_feature_shape(model, GCVIT_FEATURES, map));
  CHECK(pooled[0] == 1 && pooled[1] == 1 && pooled[2] == 256);
  CHECK(map[0] == 4 && map[1] == 4 && map[2] == 256);
  vectors = malloc(2 * 256 * sizeof(float));
  floats = (size_t)2 * 16 * 256;
  maps = malloc(floats * sizeof(float));
  CHECK(vectors != NULL && maps != NULL);
  CHECK_OK(gcvit_features(model, (const gcvit_image* const*)images, 2, GCVIT_POOLED, vectors, 2 * 256));
  CHECK_OK(gcvit_features(model, (const gcvit_image* const*)images, 2, GCVIT_FEATURES, maps, floats));
  for (i = 0; i < 2; ++i) {
    for (c = 0; c < 256; ++c) {
      double sum = 0;
      for (p = 0; p < 16; ++p) sum += maps[((size_t)i * 16 + (size_t)p) * 256 + (size_t)c];
      CHECK(fabs(sum / 16 - vectors[i * 256 + c]) < 1e-4);
    }
  }
  CHECK_FAILS(gcvit_features(model, (const gcvit_image* const*)images, 2, 6, vectors, 512), GCVIT_INVALID_ARGUMENT,
              "feature: expected 0 to 5, found 6");
  CHECK_FAILS(gcvit_features(model, (const gcvit_image* const*)images, 2, GCVIT_POOLED, vectors, 256),
              GCVIT_INVALID_ARGUMENT, "expected room for 512 floats, found 256");
  free(vectors);
  free(maps);
  gcvit_image_free(images[0]);
  gcvit_image_free(images[1]);
}

static void keeps_errors_to_their_images(const char* model_path) {
  gcvit_model* model = open_model(model_path);
  gcvit_image* images[3] = {open_image(paths[0]), open_image("/nowhere/no.jpg"), open_image(paths[1])};
  const gcvit_image* const* const given = (const gcvit_image* const*)images;
  const gcvit_prediction* found = NULL;
  gcvit_results* results = NULL;
  size_t number = 0;
  float logits[3 * kClasses];
  CHECK_FAILS(gcvit_logits(model, given, 3, logits, 3 * kClasses), GCVIT_NOT_FOUND, "/nowhere/no.jpg");
  CHECK_OK(gcvit_classify_many(model, given, 3, 2, &results));
  gcvit_image_free(images[0]);
  gcvit_image_free(images[1]);
  gcvit_image_free(images[2]);
  gcvit_model_free(model); /* results outlive it */
  CHECK_OK(gcvit_results_get(results, 0, &found, &number));
  CHECK(number == 2 && strcmp(found[0].label, "daisy") == 0 && found[0].probability >= found[1].probability);
  CHECK_FAILS(gcvit_results_get(results, 1, &found, &number), GCVIT_NOT_FOUND, "/nowhere/no.jpg");
  CHECK(found == NULL && number == 0);
  CHECK_OK(gcvit_results_get(results, 2, &found, &number));
  CHECK(number == 2 && strcmp(found[0].label, "dandelion") == 0);
  CHECK_FAILS(gcvit_results_get(results, 3, &found, &number), GCVIT_NOT_FOUND, "expected one of 3");
  gcvit_results_free(results);
}

static void refuses_wrong_options(const char* path) {
  gcvit_model* model = (gcvit_model*)&model; /* must become NULL */
  gcvit_options options = GCVIT_OPTIONS_INIT;
  struct {
    gcvit_options options;
    int64_t later_field;
  } later = {GCVIT_OPTIONS_INIT, 0};

  options.precision = 4;
  CHECK_FAILS(gcvit_model_open(path, &options, &model), GCVIT_INVALID_ARGUMENT, "precision: expected 0 to 3, found 4");
  CHECK(model == NULL);
  options.precision = 0;
  options.threads = -1;
  CHECK(gcvit_model_open(path, &options, &model) == GCVIT_INVALID_ARGUMENT);
  options.threads = 0;
  options.image_height = options.image_width = 225;
  CHECK(gcvit_model_open(path, &options, &model) != GCVIT_OK && strstr(gcvit_error_message(), "225x225") != NULL);
  options.image_height = options.image_width = 0;
  options.batch = 1025;
  CHECK_FAILS(gcvit_model_open(path, &options, &model), GCVIT_INVALID_ARGUMENT, "batch: expected 0 to 1024 images");
  options.batch = 0;
  options.preprocess = INT32_MIN;
  CHECK_FAILS(gcvit_model_open(path, &options, &model), GCVIT_INVALID_ARGUMENT, "preprocess");
  options.preprocess = 0;
  options.max_memory = 1000000;
  CHECK(gcvit_model_open(path, &options, &model) == GCVIT_OUT_OF_BUDGET);
  options.max_memory = 0;
  options.weights = GCVIT_WEIGHTS_AVERAGED; /* the file has one set */
  CHECK(gcvit_model_open(path, &options, &model) != GCVIT_OK);
  options.size = 0;
  CHECK_FAILS(gcvit_model_open(path, &options, &model), GCVIT_INVALID_ARGUMENT, "gcvit_options: size");
  options.size = SIZE_MAX;
  CHECK_FAILS(gcvit_model_open(path, &options, &model), GCVIT_INVALID_ARGUMENT, "gcvit_options: size");

  /* A program that was compiled with a later version's header: fine as long as it doesn't use what this one lacks. */
  later.options.size = sizeof later;
  later.later_field = 1;
  CHECK_FAILS(gcvit_model_open(path, &later.options, &model), GCVIT_UNSUPPORTED, "a field is set");
  later.later_field = 0;
  CHECK_OK(gcvit_model_open(path, &later.options, &model));
  gcvit_model_free(model);
}

static void refuses_wrong_arguments(const gcvit_model* model, const char* model_path) {
  gcvit_model* opened = NULL;
  gcvit_image* image = NULL;
  gcvit_results* results = NULL;
  gcvit_prediction prediction;
  const gcvit_prediction* predictions = NULL;
  const char* text = NULL;
  int32_t shape[3];
  size_t found = 0;
  float logits[2 * kClasses] = {0};
  gcvit_info info = GCVIT_INFO_INIT;

  CHECK_FAILS(gcvit_model_open(NULL, NULL, &opened), GCVIT_INVALID_ARGUMENT, "path: expected a pointer, found NULL");
  CHECK_FAILS(gcvit_model_open(model_path, NULL, NULL), GCVIT_INVALID_ARGUMENT, "model: expected a pointer");
  CHECK_FAILS(gcvit_model_open("/nowhere/m", NULL, &opened), GCVIT_NOT_FOUND, "/nowhere/m");
  CHECK_FAILS(gcvit_model_open_bytes("not a model", 11, "mine", NULL, &opened), GCVIT_INVALID_FILE, "mine");
  CHECK(gcvit_model_open_bytes("", 0, NULL, NULL, &opened) == GCVIT_INVALID_FILE);
  CHECK(gcvit_model_open_bytes(NULL, 1, NULL, NULL, &opened) == GCVIT_INVALID_ARGUMENT);
  CHECK(opened == NULL);
  CHECK(gcvit_model_info(NULL, &info) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_model_info(model, NULL) == GCVIT_INVALID_ARGUMENT);
  info.size = 4;
  CHECK_FAILS(gcvit_model_info(model, &info), GCVIT_INVALID_ARGUMENT, "gcvit_info: size");
  CHECK(gcvit_class_name(NULL, 0, &text) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_class_name(model, 0, NULL) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_model_notice(model, 0, NULL) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_image_file(NULL, &image) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_image_file(paths[0], NULL) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_image_encoded(NULL, 3, NULL, &image) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_image_pixels(NULL, 3, 1, 1, GCVIT_RGB, 0, NULL, &image) == GCVIT_INVALID_ARGUMENT);
  CHECK(image == NULL);
  image = open_image(paths[0]);
  {
    const gcvit_image* const two[2] = {image, NULL};
    CHECK_FAILS(gcvit_classify(model, image, 0, &prediction, &found), GCVIT_INVALID_ARGUMENT, "k: expected at least 1");
    CHECK(gcvit_classify(NULL, image, 1, &prediction, &found) == GCVIT_INVALID_ARGUMENT);
    CHECK(gcvit_classify(model, NULL, 1, &prediction, &found) == GCVIT_INVALID_ARGUMENT);
    CHECK(gcvit_classify(model, image, 1, NULL, &found) == GCVIT_INVALID_ARGUMENT);
    CHECK(gcvit_classify(model, image, 1, &prediction, NULL) == GCVIT_INVALID_ARGUMENT);
    CHECK_FAILS(gcvit_classify_many(model, two, 2, 1, &results), GCVIT_INVALID_ARGUMENT, "image: expected a pointer");
    CHECK(gcvit_classify_many(model, two, 1, -1, &results) == GCVIT_INVALID_ARGUMENT);
    CHECK(gcvit_classify_many(model, NULL, 1, 1, &results) == GCVIT_INVALID_ARGUMENT);
    CHECK(gcvit_classify_many(model, two, 1, 1, NULL) == GCVIT_INVALID_ARGUMENT);
    CHECK(gcvit_classify_many(model, two, SIZE_MAX, 1, &results) == GCVIT_OUT_OF_MEMORY);
    CHECK(results == NULL);
    CHECK(gcvit_logits(model, two, SIZE_MAX, logits, kClasses) == GCVIT_INVALID_ARGUMENT);
    CHECK(gcvit_logits(model, two, SIZE_MAX / kClasses + 1, logits, 4) == GCVIT_INVALID_ARGUMENT);
    CHECK(gcvit_logits(model, two, 1, NULL, kClasses) == GCVIT_INVALID_ARGUMENT);
    CHECK(gcvit_features(model, two, SIZE_MAX, GCVIT_POOLED, logits, 1) == GCVIT_INVALID_ARGUMENT);
    CHECK(gcvit_features(model, two + 1, 1, GCVIT_POOLED, logits, 256) == GCVIT_INVALID_ARGUMENT);
  }
  CHECK(gcvit_logits_of_tensors(model, NULL, 1, logits, kClasses) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_logits_of_tensors(model, logits, SIZE_MAX / 4, logits, kClasses) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_features_of_tensors(model, NULL, 1, GCVIT_POOLED, logits, 256) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_probabilities(model, NULL, 1, logits, kClasses) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_feature_shape(model, -1, shape) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_feature_shape(model, 0, NULL) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_results_get(NULL, 0, &predictions, &found) == GCVIT_INVALID_ARGUMENT);
  CHECK(gcvit_preprocess(model, image, NULL, 128 * 128 * 3) == GCVIT_INVALID_ARGUMENT);

  /* No images are no error. */
  CHECK_OK(gcvit_classify_many(model, NULL, 0, 1, &results));
  CHECK(gcvit_results_get(results, 0, &predictions, &found) == GCVIT_NOT_FOUND);
  gcvit_results_free(results);
  CHECK_OK(gcvit_logits(model, NULL, 0, NULL, 0));
  CHECK_OK(gcvit_logits_of_tensors(model, NULL, 0, NULL, 0));
  CHECK_OK(gcvit_features(model, NULL, 0, GCVIT_POOLED, NULL, 0));
  CHECK_OK(gcvit_probabilities(model, NULL, 0, NULL, 0));
  gcvit_image_free(image);
  gcvit_image_free(NULL);
  gcvit_model_free(NULL);
  gcvit_results_free(NULL);
}

typedef struct worker {
  const gcvit_model* model;
  int photo;
} worker;

static void* run_worker(void* argument) {
  const worker* mine = argument;
  gcvit_image* image = open_image(paths[mine->photo]);
  gcvit_image* missing = NULL;
  char name[64];
  int i = 0;
  CHECK(strcmp(gcvit_error_message(), "") == 0);
  snprintf(name, sizeof name, "/nowhere/%d.jpg", mine->photo);
  missing = open_image(name);
  for (i = 0; i < 3; ++i) {
    gcvit_prediction best;
    size_t found = 0;
    CHECK_FAILS(gcvit_classify(mine->model, missing, 1, &best, &found), GCVIT_NOT_FOUND, name);
    CHECK_OK(gcvit_classify(mine->model, image, 1, &best, &found));
    CHECK(found == 1 && best.index == mine->photo);
    CHECK(strstr(gcvit_error_message(), name) != NULL); /* this thread's, whatever others do */
  }
  gcvit_image_free(image);
  gcvit_image_free(missing);
  return NULL;
}

static void works_from_several_threads(const gcvit_model* model) {
  pthread_t threads[kPhotos];
  worker workers[kPhotos];
  int i = 0;
  for (i = 0; i < kPhotos; ++i) {
    workers[i].model = model;
    workers[i].photo = i;
    CHECK(pthread_create(&threads[i], NULL, run_worker, &workers[i]) == 0);
  }
  for (i = 0; i < kPhotos; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(int argc, char** argv) {
  gcvit_model* model = NULL;
  int i = 0;
  if (argc != 3) {
    fprintf(stderr, "usage: capi_test MODEL.safetensors PHOTOS\n");
    return 2;
  }
  for (i = 0; i < kPhotos; ++i) snprintf(paths[i], sizeof paths[i], "%s/%s", argv[2], kNames[i]);

  CHECK(strcmp(gcvit_error_message(), "") == 0);
  CHECK(strchr(gcvit_version(), '.') != NULL);
  CHECK(strcmp(gcvit_status_name(GCVIT_OK), "ok") == 0);
  CHECK(strcmp(gcvit_status_name(GCVIT_OUT_OF_MEMORY), "out_of_memory") == 0);
  CHECK(strcmp(gcvit_status_name(-1), "unknown") == 0 && strcmp(gcvit_status_name(1000), "unknown") == 0);

  has_the_numbers_of_the_first_version();
  says_what_a_model_is(argv[1]);
  model = open_model(argv[1]);
  names_known_photos(model);
  gives_the_same_bits_on_every_way(model, argv[1]);
  takes_pixels_of_any_stride_and_order(model);
  has_features(model);
  keeps_errors_to_their_images(argv[1]);
  refuses_wrong_options(argv[1]);
  refuses_wrong_arguments(model, argv[1]);
  works_from_several_threads(model);
  gcvit_model_free(model);
  printf("libgcvit %s does in C what it should\n", gcvit_version());
  return 0;
}
