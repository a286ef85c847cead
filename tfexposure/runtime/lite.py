"""Models in `.tflite` files, run by LiteRT."""

import functools
import os

from tfexposure.errors import UserError, import_extra
from tfexposure.runtime.manifest import (
    grid_spec_of,
    read_manifest,
    take_manifest,
)
from tfexposure.runtime.model import Model
from tfexposure.runtime.quantization import dequantize, quantize
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


class LiteModel(Model):
    """Runs the signature `serving_default` of a `.tflite` file.

    An interpreter has one set of tensors, so each call that comes while
    others run gets an interpreter of its own.

    Args:
        source: path of the file, or the bytes of one without manifest.
        threads: int, of an interpreter; one per core if None.

    Attributes:
        inputs: LiteRT's descriptions of the input tensors, by name.
        outputs: the same of the answer.

    Raises:
        UserError: if it does not load or does not restore.
    """

    def __init__(self, source, threads=None):
        litert = import_extra("ai_edge_litert.interpreter", "lite")
        self._threads = threads or os.cpu_count() or 1
        if isinstance(source, bytes):
            origin, manifest, given = "the TFLite file", None, "model_content"
        else:
            origin = source = os.fspath(source)
            manifest, given = read_manifest(source), "model_path"
        self._interpreter = functools.partial(
            litert.Interpreter, **{given: source}
        )
        try:
            interpreter = self._open()
            signatures = interpreter.get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise UserError(
                f"{origin}: not a .tflite file that loads ({first_line(error)})"
            ) from error
        self._origin = origin
        check_default(signatures, origin)
        call = interpreter.get_signature_runner(DEFAULT)
        self.inputs = call.get_input_details()
        self.outputs = call.get_output_details()
        check_names(self.inputs, self.outputs, origin)
        shape = self.inputs["image"]["shape_signature"]
        if shape[1] > 0 and shape[2] > 0:
            self.fixed_size = (int(shape[1]), int(shape[2]))
        take_manifest(self, manifest, origin)
        if FIELD in signatures:
            self.grid_spec = grid_spec_of(manifest, origin)
        if "thumbnail" in self.inputs:
            shape = self.inputs["thumbnail"]["shape_signature"]
            take_thumbnail(self, shape, origin)
        self._idle = [interpreter]

    def restore(self, image, thumbnail=None):
        inputs = {"image": quantize(image[None], self.inputs["image"])}
        if "thumbnail" in self.inputs:
            inputs["thumbnail"] = quantize(
                thumbnail[None], self.inputs["thumbnail"]
            )
        restored = self._run(DEFAULT, inputs)["restored"]
        return dequantize(restored, self.outputs["restored"])[0]

    def encode_photo(self, thumbnail):
        answer = self._run(LOOK, {"thumbnail": thumbnail[None]})
        return tuple(v[0] for v in take_look(answer, self._origin))

    def affine_coefficients(self, image, slopes, embedding):
        inputs = {"image": image, "slopes": slopes, "code": embedding}
        inputs = {name: value[None] for name, value in inputs.items()}
        return self._run(FIELD, inputs)["field"][0]

    def share(self, calls):
        # One thread each is faster than all threads for each in turn.
        self._threads = max(1, (os.cpu_count() or 1) // calls)
        self._idle.clear()

    def operations(self):
        """Lists (name, input and output details) of every operation."""
        interpreter = self._open()
        tensors = {
            tensor["index"]: tensor
            for tensor in interpreter.get_tensor_details()
        }
        return [
            (
                op["op_name"],
                [
                    tensors[index]
                    for index in (*op["inputs"], *op["outputs"])
                    if index in tensors
                ],
            )
            for op in interpreter._get_ops_details()
            if op["op_name"] != "DELEGATE"
        ]

    def _open(self):
        return self._interpreter(num_threads=self._threads)

    def _run(self, signature, inputs):
        try:
            interpreter = self._idle.pop()
        except IndexError:
            interpreter = self._open()
        answer = interpreter.get_signature_runner(signature)(**inputs)
        self._idle.append(interpreter)
        return answer
