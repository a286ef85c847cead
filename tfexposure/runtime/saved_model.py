"""Models in SavedModel folders, run by TensorFlow."""

import os

from tfexposure.errors import UserError
from tfexposure.quiet import import_tensorflow
from tfexposure.runtime.manifest import read_manifest, take_manifest
from tfexposure.runtime.model import Model
from tfexposure.runtime.signatures import (
    DEFAULT,
    check_default,
    check_names,
    first_line,
    take_thumbnail,
)


class SavedModel(Model):
    """Runs a SavedModel.

    `serving_tile` where there is one: in such a model `serving_default` takes
    its window for a whole photo. `serving_default` otherwise.

    Args:
        folder: with `saved_model.pb`.

    Raises:
        UserError: if it does not load or does not restore.
    """

    def __init__(self, folder):
        tensorflow = import_tensorflow()
        self._constant = tensorflow.constant
        try:
            self._model = tensorflow.saved_model.load(os.fspath(folder))
        except Exception as error:  # Many kinds, all about the files.
            raise UserError(
                f"{folder}: not a SavedModel that loads ({first_line(error)})"
            ) from error
        signatures = self._model.signatures
        check_default(signatures, folder)
        tiles = "serving_tile" in signatures
        self._call = signatures["serving_tile" if tiles else DEFAULT]
        inputs = self._call.structured_input_signature[1]
        check_names(inputs, self._call.structured_outputs, folder)
        shape = inputs["image"].shape
        if shape[1] is not None and shape[2] is not None:
            self.fixed_size = (shape[1], shape[2])
        take_manifest(self, read_manifest(folder), folder)
        self._takes_thumbnail = "thumbnail" in inputs
        if self._takes_thumbnail:
            take_thumbnail(self, inputs["thumbnail"].shape, folder)

    def restore(self, image, thumbnail=None):
        inputs = {"image": self._constant(image[None])}
        if self._takes_thumbnail:
            inputs["thumbnail"] = self._constant(thumbnail[None])
        return self._call(**inputs)["restored"].numpy()[0]
