# SPDX-License-Identifier: Apache-2.0
"""ctypes_test.py LIBGCVIT GCVIT MODEL PHOTOS: the library from Python, without any module; its logits are bitwise those of the program."""

import array
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest
import zipfile
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int32, c_size_t, c_uint64, c_void_p

LIBRARY, PROGRAM, MODEL, PHOTOS = sys.argv[1:]
FLOWERS = {"daisy.jpg": "daisy", "dandelion.jpg": "dandelion", "rose.jpg": "roses", "sunflower.jpg": "sunflowers",
           "tulips.jpg": "tulips"}
NOT_FOUND, INVALID_ARGUMENT = 2, 1
LEVEL3, POOLED = 2, 5


class Options(ctypes.Structure):
    _fields_ = [("size", c_size_t), *((name, c_int32) for name in (
        "precision", "threads", "image_height", "image_width", "preprocess", "window_mode", "weights", "batch",
        "ignore_orientation", "keras_example_bias")), ("max_pixels", c_uint64), ("max_memory", c_uint64)]


class Prediction(ctypes.Structure):
    _fields_ = [("index", c_int32), ("probability", c_float), ("label", c_char_p)]


lib = ctypes.CDLL(LIBRARY)
lib.gcvit_error_message.restype = lib.gcvit_version.restype = lib.gcvit_status_name.restype = c_char_p
lib.gcvit_model_free.restype = lib.gcvit_image_free.restype = lib.gcvit_results_free.restype = None
lib.gcvit_model_free.argtypes = lib.gcvit_image_free.argtypes = lib.gcvit_results_free.argtypes = [c_void_p]
for name, arguments in {
        "gcvit_model_open": [c_char_p, POINTER(Options), POINTER(c_void_p)],
        "gcvit_image_file": [c_char_p, POINTER(c_void_p)],
        "gcvit_image_encoded": [c_char_p, c_size_t, c_char_p, POINTER(c_void_p)],
        "gcvit_classify": [c_void_p, c_void_p, c_int32, POINTER(Prediction), POINTER(c_size_t)],
        "gcvit_classify_many": [c_void_p, POINTER(c_void_p), c_size_t, c_int32, POINTER(c_void_p)],
        "gcvit_results_get": [c_void_p, c_size_t, POINTER(POINTER(Prediction)), POINTER(c_size_t)],
        "gcvit_preprocess": [c_void_p, c_void_p, POINTER(c_float), c_size_t],
        "gcvit_logits_of_tensors": [c_void_p, POINTER(c_float), c_size_t, POINTER(c_float), c_size_t],
        "gcvit_feature_shape": [c_void_p, c_int32, POINTER(c_int32)],
        "gcvit_features_of_tensors": [c_void_p, POINTER(c_float), c_size_t, c_int32, POINTER(c_float), c_size_t]}.items():
    getattr(lib, name).argtypes, getattr(lib, name).restype = arguments, c_int


def must(status):
    if status:
        raise RuntimeError(lib.gcvit_error_message().decode())


def photo(name):
    image = c_void_p()
    must(lib.gcvit_image_file(os.fsencode(pathlib.Path(PHOTOS) / name), byref(image)))
    return image


class FromPython(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = c_void_p()
        must(lib.gcvit_model_open(os.fsencode(MODEL), Options(size=ctypes.sizeof(Options), threads=2), byref(cls.model)))

    @classmethod
    def tearDownClass(cls):
        lib.gcvit_model_free(cls.model)

    def test_names_photos(self):
        for name, label in FLOWERS.items():
            best, found, image = (Prediction * 3)(), c_size_t(), photo(name)
            must(lib.gcvit_classify(self.model, image, 3, best, byref(found)))
            self.assertEqual((found.value, best[0].label.decode()), (3, label))
            self.assertGreater(best[0].probability, 0.5)
            lib.gcvit_image_free(image)

    def test_many_from_bytes(self):
        files = [(pathlib.Path(PHOTOS) / name).read_bytes() for name in FLOWERS] + [b"no photo"]
        images = (c_void_p * len(files))()
        for i, data in enumerate(files):
            image = c_void_p()
            must(lib.gcvit_image_encoded(data, len(data), f"number {i}".encode(), byref(image)))
            images[i] = image
        results, predictions, found = c_void_p(), POINTER(Prediction)(), c_size_t()
        must(lib.gcvit_classify_many(self.model, images, len(files), 1, byref(results)))
        for i, label in enumerate(FLOWERS.values()):
            must(lib.gcvit_results_get(results, i, byref(predictions), byref(found)))
            self.assertEqual(predictions[0].label.decode(), label)
        self.assertNotEqual(lib.gcvit_results_get(results, len(FLOWERS), byref(predictions), byref(found)), 0)
        self.assertIn("number 5", lib.gcvit_error_message().decode())
        lib.gcvit_results_free(results)
        for image in images:
            lib.gcvit_image_free(image)

    def test_bits_of_the_program(self):
        image, size = photo("rose.jpg"), 128 * 128 * 3
        tensor, logits, shape = (c_float * size)(), (c_float * 5)(), (c_int32 * 3)()
        must(lib.gcvit_preprocess(self.model, image, tensor, size))
        must(lib.gcvit_logits_of_tensors(self.model, tensor, 1, logits, 5))
        values = {"logits": bytes(logits)}
        for key, feature in (("pooled", POOLED), ("level3", LEVEL3)):
            must(lib.gcvit_feature_shape(self.model, feature, shape))
            floats = shape[0] * shape[1] * shape[2]
            feature_values = (c_float * floats)()
            must(lib.gcvit_features_of_tensors(self.model, tensor, 1, feature, feature_values, floats))
            values[key] = bytes(feature_values)
        lib.gcvit_image_free(image)

        header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 128, 128, 3), }".ljust(117) + "\n"
        with tempfile.TemporaryDirectory() as folder:
            npy, npz = pathlib.Path(folder, "in.npy"), pathlib.Path(folder, "out.npz")
            npy.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(tensor))
            subprocess.run([PROGRAM, "forward", "-m", MODEL, npy, "-o", npz], check=True, capture_output=True)
            with zipfile.ZipFile(npz) as archive:
                for key, value in values.items():
                    self.assertEqual(archive.read(f"{key}.npy")[-len(value):], value, key)
        self.assertGreater(max(array.array("f", values["logits"])), 0)

    def test_errors_are_codes_and_sentences(self):
        model = c_void_p(1)
        self.assertEqual(lib.gcvit_model_open(b"/nowhere/m", None, byref(model)), NOT_FOUND)
        self.assertIsNone(model.value)
        self.assertIn("/nowhere/m", lib.gcvit_error_message().decode())
        self.assertEqual(lib.gcvit_status_name(NOT_FOUND), b"not_found")
        self.assertEqual(lib.gcvit_model_open(None, None, byref(model)), INVALID_ARGUMENT)
        lib.gcvit_model_free(None)

    def test_threads(self):
        wrong = []

        def work(name, label):
            best, found, image = Prediction(), c_size_t(), photo(name)
            for _ in range(2):
                if lib.gcvit_classify(self.model, image, 1, byref(best), byref(found)) or best.label.decode() != label:
                    wrong.append(name)
            lib.gcvit_image_free(image)

        threads = [threading.Thread(target=work, args=flower) for flower in FLOWERS.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
