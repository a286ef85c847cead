"""Models in SavedModel folders, run by TensorFlow."""

import os

from tfexposure.errors import UserError
from tfexposure.quiet import import_tensorflow
from tfexposure.runtime.manifest import (
    grid_spec_of,
    read_manifest,
    take_manifest,
)
from tfexposure.runtime.model import Model
from tfexposure.runtime.signatures import (
    DEFAULT,
    FIELD,
    LOOK,
    check_default,
    check_names,
    first_line,
    take_look,
    take_thumbnail,
)


class SavedModel(Model):
    """Runs a SavedModel.

    The network alone, so that `correct` works at full size by itself: by
    `serving_look` and `serving_field` where they are, which encode a photo and
    answer its coefficients. Else window by window: by `serving_tile` in files
    of earlier versions, whose `serving_default` takes its window for a whole
    photo, and by `serving_default` otherwise.

    Args:
        folder: with `saved_model.pb`.

    Raises:
        UserError: if it does not load or does not restore.
    """

    def __init__(self, folder):
        tensorflow = import_tensorflow()
        self._constant, self._folder = tensorflow.constant, folder
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
        manifest = read_manifest(folder)
        take_manifest(self, manifest, folder)
        if FIELD in signatures:
            self.grid_spec = grid_spec_of(manifest, folder)
            shape = signatures[LOOK].structured_input_signature[1]["thumbnail"]
            take_thumbnail(self, shape.shape, folder)
        self._takes_thumbnail = "thumbnail" in inputs
        if self._takes_thumbnail:
            take_thumbnail(self, inputs["thumbnail"].shape, folder)

    def restore(self, image, thumbnail=None):
        if self.grid_spec:
            return self.restore_by_grid(image, thumbnail)
        inputs = {"image": self._constant(image[None])}
        if self._takes_thumbnail:
            inputs["thumbnail"] = self._constant(thumbnail[None])
        return self._call(**inputs)["restored"].numpy()[0]

    def encode_photo(self, thumbnail):
        answer = self._run(LOOK, thumbnail=thumbnail)
        return take_look(answer, self._folder)

    def affine_coefficients(self, image, slopes, embedding):
        inputs = {"image": image, "slopes": slopes, "code": embedding}
        return self._run(FIELD, **inputs)["field"]

    def _run(self, signature, **inputs):
        inputs = {k: self._constant(v[None]) for k, v in inputs.items()}
        answer = self._model.signatures[signature](**inputs)
        return {name: value.numpy()[0] for name, value in answer.items()}
