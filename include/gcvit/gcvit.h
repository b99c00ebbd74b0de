// SPDX-License-Identifier: Apache-2.0
// The library for C, and for every language that can call C: libgcvit.so, `pkg-config gcvit`.
//
//     gcvit_model* model = NULL;
//     gcvit_image* image = NULL;
//     gcvit_prediction best;
//     size_t found = 0;
//     if (gcvit_model_open("gcvit_flowers.safetensors", NULL, &model) || gcvit_image_file("rose.jpg", &image) ||
//         gcvit_classify(model, image, 1, &best, &found)) {
//       fprintf(stderr, "%s\n", gcvit_error_message());
//     } else {
//       printf("%s %f\n", best.label, best.probability);
//     }
//     gcvit_image_free(image);
//     gcvit_model_free(model);
//
// Every function that can fail returns a `gcvit_status`, which is 0 when it succeeded; `gcvit_error_message` then has the sentence.
// No C++ exception leaves a function. NULL where a pointer is needed, a number out of its range and a buffer of the wrong size are
// GCVIT_INVALID_ARGUMENT. What a failed call would have written has no defined contents, but handles: these are set to NULL.
//
// Any number of threads may use a model, an image or results at the same time. Freeing one is the exception: no other call may be
// using it. A process that has opened a model computes with its threads, which a forked child doesn't have: open it in the child.
//
// Floats of several images lie one image behind the other. Maps are NHWC: rows, columns, channels. An image's numbers depend on the
// image, the model and the processor's instruction set alone: not on the images beside it, callers or the number of threads.
//
// What stands here stays: functions, values and fields are added, never changed. Structs that may grow start with their size.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "gcvit/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/// How a call ended. Later versions may add values.
typedef enum gcvit_status {
  GCVIT_OK = 0,
  GCVIT_INVALID_ARGUMENT = 1,  ///< a value that the caller gave is out of its range or doesn't fit the model
  GCVIT_NOT_FOUND = 2,  ///< no such file or class
  GCVIT_INVALID_FILE = 3,  ///< a file's contents are broken or not what was expected
  GCVIT_UNSUPPORTED = 4,  ///< understood, but not something that this library does
  GCVIT_OUT_OF_BUDGET = 5,  ///< would need more pixels or memory than is allowed
  GCVIT_IO = 6,  ///< reading failed, or descriptors or threads have run out
  GCVIT_CANCELLED = 7,
  GCVIT_OUT_OF_MEMORY = 8,  ///< an allocation failed
  GCVIT_INTERNAL = 9  ///< a mistake of this library
} gcvit_status;

/// "ok", "invalid_argument", "not_found" and so on; "unknown" for any other number. A string that stays.
GCVIT_EXPORT const char* gcvit_status_name(int32_t status);

/// One sentence about the last call of this thread that failed: area, file, place, what was expected and what was found. Empty when
/// none has failed. It has no control characters, is UTF-8, and stays valid until another call of this thread fails. A call that succeeds
/// leaves it as it is.
GCVIT_EXPORT const char* gcvit_error_message(void);

/// The library's version, such as "0.1.0".
GCVIT_EXPORT const char* gcvit_version(void);

// ---- Models

/// An open model, ready to compute. Nothing of its file stays open.
typedef struct gcvit_model gcvit_model;

enum {
  GCVIT_PRECISION_AUTO = 0,  ///< as the file stores each weight: int8 and bf16 ones compute as that, all others in f32
  GCVIT_PRECISION_F32 = 1,
  GCVIT_PRECISION_BF16 = 2,
  GCVIT_PRECISION_INT8 = 3
};

/// How images become tensors: docs/preprocessing.md.
enum {
  GCVIT_PREPROCESS_AUTO = 0,  ///< as the model file says, else by where its weights come from
  GCVIT_PREPROCESS_TIMM = 1,
  GCVIT_PREPROCESS_NVLABS = 2,
  GCVIT_PREPROCESS_KERAS = 3,
  GCVIT_PREPROCESS_KERAS_TRAIN = 4
};

/// What becomes of attention windows at an image size other than the file's.
enum {
  GCVIT_WINDOWS_EXACT = 0,  ///< they grow and shrink with the image, as in timm
  GCVIT_WINDOWS_FIXED = 1  ///< they stay, and maps are padded, as in NVlabs' detection code
};

/// Which weights of a training checkpoint that holds both.
enum {
  GCVIT_WEIGHTS_USUAL = 0,  ///< those of the usual key, else the raw ones; a notice says which
  GCVIT_WEIGHTS_AVERAGED = 1,  ///< averaged (EMA); an error where the file has none
  GCVIT_WEIGHTS_RAW = 2  ///< an error where the file has averaged ones alone
};

/// How a model is opened. 0 is the default of every field but `size`; start with GCVIT_OPTIONS_INIT.
typedef struct gcvit_options {
  size_t size;  ///< sizeof(gcvit_options)
  int32_t precision;  ///< GCVIT_PRECISION_*
  int32_t threads;  ///< that compute, at most 1024; 0: one for each processor that the process may use
  int32_t image_height;  ///< of the model's input in pixels, a multiple of 32; 0: the file's
  int32_t image_width;  ///< likewise
  int32_t preprocess;  ///< GCVIT_PREPROCESS_*
  int32_t window_mode;  ///< GCVIT_WINDOWS_*
  int32_t weights;  ///< GCVIT_WEIGHTS_*
  int32_t batch;  ///< images that go through the model together, 1 to 1024; 0: 8. Results don't depend on it
  int32_t ignore_orientation;  ///< 1: images aren't turned as their EXIF orientation says; 0: they are
  int32_t keras_example_bias;  ///< 1: for weights tuned with the Keras example: docs/weights.md
  uint64_t max_pixels;  ///< an image that claims more (width x height) is GCVIT_OUT_OF_BUDGET; 0: 178956970
  uint64_t max_memory;  ///< bytes that the model and its maps may take; 0: three quarters of what this process may have
} gcvit_options;

#define GCVIT_OPTIONS_INIT {sizeof(gcvit_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/// Opens a model file of ours, or a weight file of Keras, PyTorch, timm, NVlabs or JAX users (docs/weights.md lists them), or a folder of
/// timm, Hugging Face or a training run. `options` may be NULL. Free the model with `gcvit_model_free`.
GCVIT_EXPORT gcvit_status gcvit_model_open(const char* path, const gcvit_options* options, gcvit_model** model);

/// The same of the `size` bytes of such a file, which aren't used after the call. `name` stands for the file in sentences; NULL: "model".
GCVIT_EXPORT gcvit_status gcvit_model_open_bytes(const void* bytes, size_t size, const char* name,
                                                 const gcvit_options* options, gcvit_model** model);

/// NULL does nothing. Results of the model may outlive it.
GCVIT_EXPORT void gcvit_model_free(gcvit_model* model);

/// What a model is. Start with GCVIT_INFO_INIT. Strings live as long as the model.
typedef struct gcvit_info {
  size_t size;  ///< sizeof(gcvit_info), set by the caller
  int32_t image_height;  ///< of the input, in pixels
  int32_t image_width;  ///< likewise
  int32_t classes;  ///< their number
  int32_t precision;  ///< never GCVIT_PRECISION_AUTO: the narrowest in which there are weights
  int32_t threads;  ///< that compute
  int32_t notices;  ///< sentences that `gcvit_model_notice` has
  size_t tensor_floats;  ///< of one image's tensor: image_height x image_width x 3
  size_t weight_bytes;  ///< of the packed weights
  const char* file;  ///< that was opened, or the name given with bytes
  const char* format;  ///< "safetensors", "pytorch", "keras", "hdf5" or "npz"
  const char* layout;  ///< whose names the tensors have: "canonical", "nvlabs", "timm", "jax" or "keras"
  const char* preprocessing;  ///< how the file's own preprocessing makes a tensor of an image, in one line for people
} gcvit_info;

#define GCVIT_INFO_INIT {sizeof(gcvit_info), 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL}

GCVIT_EXPORT gcvit_status gcvit_model_info(const gcvit_model* model, gcvit_info* info);

/// The name of class `index`, from 0: the file's; without one ImageNet's when there are 1000 classes; else "class 17". It lives as long as
/// the model. GCVIT_NOT_FOUND when there is no such class.
GCVIT_EXPORT gcvit_status gcvit_class_name(const gcvit_model* model, int32_t index, const char** name);

/// A sentence that a person should see of how the model was found and read, `index` from 0. It lives as long as the model.
/// GCVIT_NOT_FOUND when there is no such one.
GCVIT_EXPORT gcvit_status gcvit_model_notice(const gcvit_model* model, int32_t index, const char** sentence);

// ---- Images

/// A photo to classify: a file, the bytes of one, or pixels.
typedef struct gcvit_image gcvit_image;

/// The order of the bytes of a pixel. Alpha is ignored; grey becomes three equal channels.
enum { GCVIT_RGB = 0, GCVIT_BGR = 1, GCVIT_RGBA = 2, GCVIT_BGRA = 3, GCVIT_GREY = 4 };

/// A JPEG, PNG or WebP file, which is opened when the image is used. Free the image with `gcvit_image_free`.
GCVIT_EXPORT gcvit_status gcvit_image_file(const char* path, gcvit_image** image);

/// The `size` bytes of such a file. They aren't copied, and must stay until the image is freed. `name` stands for the file in sentences;
/// NULL: "image".
GCVIT_EXPORT gcvit_status gcvit_image_encoded(const void* bytes, size_t size, const char* name, gcvit_image** image);

/// 8-bit pixels, rows from the top, in an order such as GCVIT_RGB. `row_stride` is the bytes from a row's first pixel to the next row's;
/// 0 where rows follow each other without a gap. `size` bytes must reach to the end of the last row. They aren't copied, and must stay until
/// the image is freed. `name` as above.
GCVIT_EXPORT gcvit_status gcvit_image_pixels(const uint8_t* pixels, size_t size, int32_t height, int32_t width,
                                             int32_t order, size_t row_stride, const char* name, gcvit_image** image);

/// NULL does nothing.
GCVIT_EXPORT void gcvit_image_free(gcvit_image* image);

// ---- Classes

/// One class for one image.
typedef struct gcvit_prediction {
  int32_t index;  ///< of the class, from 0
  float probability;  ///< softmax over all classes (of logits / temperature where the file has one fitted)
  const char* label;  ///< the class's name; it lives as long as the model and the results it stands in
} gcvit_prediction;

/// The `k` most probable classes of an image, most probable first, into `predictions`, which has room for `k`. `found` becomes their
/// number: `k`, or that of all classes when there are fewer.
GCVIT_EXPORT gcvit_status gcvit_classify(const gcvit_model* model, const gcvit_image* image, int32_t k,
                                         gcvit_prediction* predictions, size_t* found);

/// What came of several images.
typedef struct gcvit_results gcvit_results;

/// The same for `count` images, decoded beside computing. It succeeds when single images fail: `gcvit_results_get` says which. Free
/// the results with `gcvit_results_free`.
GCVIT_EXPORT gcvit_status gcvit_classify_many(const gcvit_model* model, const gcvit_image* const* images, size_t count,
                                              int32_t k, gcvit_results** results);

/// What came of image `index`, from 0: its predictions, which live as long as the results, and their number. When the image couldn't be
/// read or its logits aren't finite, its own status, and `gcvit_error_message` has its sentence.
GCVIT_EXPORT gcvit_status gcvit_results_get(const gcvit_results* results, size_t index,
                                            const gcvit_prediction** predictions, size_t* found);

/// NULL does nothing.
GCVIT_EXPORT void gcvit_results_free(gcvit_results* results);

// ---- Numbers. `floats` is always the room behind the pointer before it, and must be exactly what is written.

/// The tensor that the model sees: image_height x image_width x 3 normalised floats.
GCVIT_EXPORT gcvit_status gcvit_preprocess(const gcvit_model* model, const gcvit_image* image, float* tensor,
                                           size_t floats);

/// The logits of `count` images, [count, classes]. Fails when one of the images does.
GCVIT_EXPORT gcvit_status gcvit_logits(const gcvit_model* model, const gcvit_image* const* images, size_t count,
                                       float* logits, size_t floats);

/// The same of `count` tensors as `gcvit_preprocess` makes them.
GCVIT_EXPORT gcvit_status gcvit_logits_of_tensors(const gcvit_model* model, const float* tensors, size_t count,
                                                  float* logits, size_t floats);

/// softmax(logits / the file's temperature) of `count` images' logits, both [count, classes]. Both may be the same memory.
GCVIT_EXPORT gcvit_status gcvit_probabilities(const gcvit_model* model, const float* logits, size_t count,
                                              float* probabilities, size_t floats);

/// Values on the model's way. The levels' maps are those before the level's downsample.
enum {
  GCVIT_LEVEL1 = 0,
  GCVIT_LEVEL2 = 1,
  GCVIT_LEVEL3 = 2,
  GCVIT_LEVEL4 = 3,
  GCVIT_FEATURES = 4,  ///< the last map behind the final normalisation
  GCVIT_POOLED = 5  ///< its mean over positions: a vector
};

/// Height, width and channels of one image's value, such as GCVIT_LEVEL3, into `shape`, which has room for 3.
GCVIT_EXPORT gcvit_status gcvit_feature_shape(const gcvit_model* model, int32_t feature, int32_t* shape);

/// A value of `count` images, [count, height, width, channels]. Fails when one of the images does.
GCVIT_EXPORT gcvit_status gcvit_features(const gcvit_model* model, const gcvit_image* const* images, size_t count,
                                         int32_t feature, float* values, size_t floats);

/// The same of `count` tensors as `gcvit_preprocess` makes them.
GCVIT_EXPORT gcvit_status gcvit_features_of_tensors(const gcvit_model* model, const float* tensors, size_t count,
                                                    int32_t feature, float* values, size_t floats);

#ifdef __cplusplus
}
#endif
