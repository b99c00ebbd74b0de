# SPDX-License-Identifier: Apache-2.0
"""Names a photo through the C library: classify.py LIBGCVIT.so MODEL.safetensors PHOTO"""

import ctypes
import os
import sys


class Prediction(ctypes.Structure):
    _fields_ = [("index", ctypes.c_int32), ("probability", ctypes.c_float), ("label", ctypes.c_char_p)]


def main(library, model_path, photo):
    gcvit = ctypes.CDLL(library)
    gcvit.gcvit_error_message.restype = ctypes.c_char_p
    model, image, best, found = ctypes.c_void_p(), ctypes.c_void_p(), Prediction(), ctypes.c_size_t()
    failed = (gcvit.gcvit_model_open(os.fsencode(model_path), None, ctypes.byref(model))
              or gcvit.gcvit_image_file(os.fsencode(photo), ctypes.byref(image))
              or gcvit.gcvit_classify(model, image, 1, ctypes.byref(best), ctypes.byref(found)))
    if failed:
        print(gcvit.gcvit_error_message().decode(), file=sys.stderr)
    else:
        print(f"{photo}: {best.label.decode()} {best.probability:.4f}")
    gcvit.gcvit_image_free(image)
    gcvit.gcvit_model_free(model)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
