"""One way to run a generator, whatever file it comes in.

A runner takes float32 (H, W, 3), RGB, sRGB-encoded, in [0, 1] and answers the
same shape and range. TensorFlow or LiteRT is imported by the runner that
needs it, when it is opened.
"""

import functools
import json
import os
import pathlib
import zipfile

import numpy as np

from tfexposure import pretrained
from tfexposure.errors import (
    UserError,
    import_extra,
)
from tfexposure.quiet import import_tensorflow
from tfexposure.runtime.coefficient_grid import GuideSpec

# For models that carry no manifest: above the 102 pixels measured for the
# default U-Net from any pixel, and a multiple of its stride.
UNKNOWN_HALO = 112
HALO = 96
STRIDE = 16

MODEL_KINDS = (
    "a SavedModel folder, a .tflite file, the folder of a training run or the "
    "name of a model that comes with tfexposure"
)


class Runner:
    """Restores one window of a photo.

    Attributes:
        halo: pixels around a window on which its inner pixels depend.
        stride: total stride of the network; windows start at its multiples.
        fixed_size: (height, width) of the only input size, or `None`.
        thumbnail: side in pixels of the small copy of the whole photo that
            the network takes beside each window, or `None`.
        thumbnail_channels: 3, or 9 for one with the share of clipped pixels
            and with samples.
        exact_tiles: `False` for a network whose answer anywhere depends on
            the whole window, so that tiles do not join.
        guide_spec: `guided.GuideSpec`, if `look` and `field` can be called,
            or `None`.
    """

    halo = UNKNOWN_HALO
    stride = STRIDE
    fixed_size: tuple[int, int] | None = None
    thumbnail = None
    thumbnail_channels = 3
    exact_tiles = True
    guide_spec = None

    def restore(self, image, thumbnail=None):
        """Restores float32 (H, W, 3) in [0, 1]; the same shape comes back.

        Args:
            image: window of the photo, any size if `fixed_size` is `None`.
            thumbnail: float32 (T, T, C) of the whole photo, as
                `thumbnails.make_thumbnail` makes it, if the network takes
                one.
        """
        raise NotImplementedError

    def share(self, calls):
        """Tells the runner that so many calls will come at the same time."""

    def look(self, thumbnail):
        """Judges a whole photo: slopes of its curve (pieces,), code (n,)."""
        raise NotImplementedError

    def field(self, image, slopes, code):
        """Answers a whole photo at reduced size.

        Args:
            image: float32 (h, w, 3) in [0, 1], of few pixels.
            slopes: float32 (pieces,), of the curve to be applied.
            code: what `look` gave.

        Returns:
            float32 (h', w', 13); see `guided.Guide`.
        """
        raise NotImplementedError

    def _apply_manifest(self, manifest):
        if manifest is None:
            return
        for name, default in (("halo", HALO), ("stride", STRIDE)):
            value = manifest.get(name, default)
            if not isinstance(value, int) or value < (name == "stride"):
                raise UserError(
                    f"the model's manifest has {name} {value!r}; expected a "
                    "whole number of pixels"
                )
            setattr(self, name, value)
        self.thumbnail = manifest.get("thumbnail")
        self.exact_tiles = manifest.get("exact_tiles", True)

    def _take_guide(self, model, notes):
        if "lift" not in notes:
            raise UserError(
                f"{model}: its manifest has a guide without `lift`: an earlier "
                "version of tfexposure exported it; export it again"
            )
        self.guide_spec = GuideSpec(
            tuple(notes["knots"]), tuple(notes["clip"]), notes["lift"]
        )

    def _take_thumbnail(self, model, shape):
        """Notes the size of the input `thumbnail`, (1, T, T, C)."""
        side = shape[1] or self.thumbnail
        if not side or shape[3] not in (3, 9):
            raise UserError(
                f"{model}: takes a thumbnail of shape {tuple(shape)}; expected "
                "(1, T, T, 3) or (1, T, T, 9), T here or in the manifest"
            )
        self.thumbnail, self.thumbnail_channels = int(side), int(shape[3])


class SavedModelRunner(Runner):
    """Runs a SavedModel.

    `serving_tile` where there is one: in such a model `serving_default` takes
    its window for a whole photo. `serving_default` otherwise.
    """

    def __init__(self, folder):
        tensorflow = import_tensorflow()
        self._constant = tensorflow.constant
        try:
            self._model = tensorflow.saved_model.load(os.fspath(folder))
        except Exception as error:  # Many kinds, all about the files.
            raise UserError(
                f"{folder}: not a SavedModel that loads ({_line(error)})"
            ) from error
        signatures = self._model.signatures
        if "serving_default" not in signatures:
            raise UserError(
                f"{folder}: has no signature serving_default; it has "
                f"{', '.join(sorted(signatures)) or 'none'}"
            )
        tiles = "serving_tile" in signatures
        self._call = signatures["serving_tile" if tiles else "serving_default"]
        inputs = self._call.structured_input_signature[1]
        _check_names(folder, inputs, self._call.structured_outputs)
        self._takes = frozenset(inputs)
        shape = inputs["image"].shape
        if shape[1] is not None and shape[2] is not None:
            self.fixed_size = (shape[1], shape[2])
        manifest = pathlib.Path(folder, "assets.extra", "manifest.json")
        self._apply_manifest(
            json.loads(manifest.read_text()) if manifest.exists() else None
        )
        if "thumbnail" in inputs:
            self._take_thumbnail(folder, inputs["thumbnail"].shape)

    def restore(self, image, thumbnail=None):
        inputs = {"image": self._constant(image[None])}
        if "thumbnail" in self._takes:
            inputs["thumbnail"] = self._constant(thumbnail[None])
        return self._call(**inputs)["restored"].numpy()[0]


class LiteRunner(Runner):
    """Runs the signature `serving_default` of a .tflite file.

    An interpreter has one set of tensors, so each call that comes while
    others run gets an interpreter of its own.
    """

    def __init__(self, path):
        litert = import_extra("ai_edge_litert.interpreter", "lite")
        self._interpreter = functools.partial(
            litert.Interpreter, os.fspath(path)
        )
        self._threads = os.cpu_count() or 1
        try:
            interpreter = self._open()
            signatures = interpreter.get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise UserError(
                f"{path}: not a .tflite file that loads ({_line(error)})"
            ) from error
        if "serving_default" not in signatures:
            raise UserError(
                f"{path}: has no signature serving_default; it has "
                f"{', '.join(sorted(signatures)) or 'none'}"
            )
        call = interpreter.get_signature_runner("serving_default")
        self._inputs = call.get_input_details()
        self._outputs = call.get_output_details()
        _check_names(path, self._inputs, self._outputs)
        shape = self._inputs["image"]["shape_signature"]
        if shape[1] > 0 and shape[2] > 0:
            self.fixed_size = (int(shape[1]), int(shape[2]))
        manifest = _zipped_manifest(path) or {}
        self._apply_manifest(manifest)
        if "serving_field" in signatures and "guide" in manifest:
            self._take_guide(path, manifest["guide"])
        if "thumbnail" in self._inputs:
            shape = self._inputs["thumbnail"]["shape_signature"]
            self._take_thumbnail(path, [n if n > 0 else None for n in shape])
        self._idle = [interpreter]

    def restore(self, image, thumbnail=None):
        inputs = {"image": _quantize(image[None], self._inputs["image"])}
        if "thumbnail" in self._inputs:
            inputs["thumbnail"] = _quantize(
                thumbnail[None], self._inputs["thumbnail"]
            )
        restored = self._run("serving_default", inputs)["restored"]
        return _dequantize(restored, self._outputs["restored"])[0]

    def share(self, calls):
        # One thread each is faster than all threads for each in turn.
        self._threads = max(1, (os.cpu_count() or 1) // calls)
        self._idle.clear()

    def _open(self):
        return self._interpreter(num_threads=self._threads)

    def look(self, thumbnail):
        answer = self._run("serving_look", {"thumbnail": thumbnail[None]})
        return answer["slopes"][0], answer["code"][0]

    def field(self, image, slopes, code):
        inputs = {"image": image, "slopes": slopes, "code": code}
        inputs = {name: value[None] for name, value in inputs.items()}
        return self._run("serving_field", inputs)["field"][0]

    def _run(self, signature, inputs):
        try:
            interpreter = self._idle.pop()
        except IndexError:
            interpreter = self._open()
        answer = interpreter.get_signature_runner(signature)(**inputs)
        self._idle.append(interpreter)
        return answer


class GeneratorRunner(Runner):
    """Runs a generator in Keras.

    Args:
        load: function that returns it, built.
        origin: what errors call it.
    """

    def __init__(self, load, origin):
        tensorflow = import_tensorflow()
        from tfexposure import runtime

        network = runtime.network_of(load())
        self.stride = network.stride
        self.exact_tiles = network.halo is not None
        self.halo = network.halo or 0
        inputs = [tensorflow.TensorSpec((1, None, None, 3), name="image")]
        if network.thumbnail:
            shape = (1, *network.thumbnail)
            self._take_thumbnail(origin, shape)
            inputs.append(tensorflow.TensorSpec(shape, name="thumbnail"))
        self._constant = tensorflow.constant
        self._call = tensorflow.function(
            network.restore_tile, input_signature=inputs
        )
        if network.field:
            self._take_guide(origin, network.notes["guide"])
            self._look = tensorflow.function(network.look)
            # Any size of picture is one trace.
            self._field = tensorflow.function(
                network.field, reduce_retracing=True
            )

    def look(self, thumbnail):
        known = self._look(self._constant(thumbnail[None]))
        return tuple(value.numpy()[0] for value in known)

    def field(self, image, slopes, code):
        inputs = [self._constant(v[None]) for v in (image, slopes, code)]
        return self._field(*inputs).numpy()[0]

    def restore(self, image, thumbnail=None):
        inputs = [self._constant(image[None])]
        if self.thumbnail:
            inputs.append(self._constant(thumbnail[None]))
        return self._call(*inputs).numpy()[0]


def open_runner(model=None):
    """Opens a generator for restoring photos.

    Args:
        model: SavedModel folder, `.tflite` file, run folder or one of
            `pretrained.names()`; a `Runner` is returned as it is; `None` means
            the file that tfexposure ships.

    Returns:
        a `Runner`.

    Raises:
        UserError: if `model` is none of these or does not load.
    """
    if isinstance(model, Runner):
        return model
    if model is None:
        return _open_shipped()
    path = pathlib.Path(model)
    if path.is_file() and path.suffix == ".tflite":
        return LiteRunner(path)
    folder = _saved_model_folder(path)
    if folder is not None:
        return SavedModelRunner(folder)
    if (path / "config.json").is_file():
        return GeneratorRunner(functools.partial(_load_run, path), path)
    if not path.exists() and str(model) in pretrained.names():
        load = functools.partial(pretrained.load_pretrained, str(model))
        return GeneratorRunner(load, model)
    found = "holds none of these" if path.exists() else "does not exist"
    raise UserError(f"--model={model}: expected {MODEL_KINDS}; it {found}")


def _load_run(folder):
    from tfexposure.runtime.runs import load_generator

    return load_generator(folder)


def _open_shipped():
    return LiteRunner(pretrained.default_model_path())


def _saved_model_folder(path):
    """The folder itself, or its highest version as a server would take it."""
    if (path / "saved_model.pb").is_file():
        return path
    if not path.is_dir():
        return None
    versions = [
        child
        for child in path.iterdir()
        if child.name.isdigit() and (child / "saved_model.pb").is_file()
    ]
    return max(versions, key=lambda child: int(child.name), default=None)


def _check_names(model, inputs, outputs):
    expected = {"image"} | ({"thumbnail"} & set(inputs))
    if set(inputs) != expected or "restored" not in outputs:
        raise UserError(
            f"{model}: its signature should take image (and perhaps "
            "thumbnail) and answer restored; it takes "
            f"{', '.join(sorted(inputs))} and answers "
            f"{', '.join(sorted(outputs))}"
        )


def _zipped_manifest(path):
    """The member `manifest.json` of a zip appended to the file, if any."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as members:
        if "manifest.json" not in members.namelist():
            return None
        return json.loads(members.read("manifest.json"))


def _quantize(values, details):
    dtype = np.dtype(details["dtype"])
    if dtype.kind == "f":
        return values.astype(dtype)
    scale, zero_point = details["quantization"]
    limits = np.iinfo(dtype)
    levels = np.rint(values / scale) + zero_point
    return np.clip(levels, limits.min, limits.max).astype(dtype)


def _dequantize(values, details):
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    scale, zero_point = details["quantization"]
    return (values.astype(np.float32) - zero_point) * np.float32(scale)


def _line(error):
    """The first line of an error's message, in short."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
