"""Running and examining the contents of TFLite files with LiteRT."""

import numpy as np

from tfexposure.errors import (
    UserError,
    import_extra,
)

# Operations that mean that weights were lost, or that plain LiteRT lacks.
_FORBIDDEN = ("Flex", "READ_VARIABLE", "VAR_HANDLE", "CUSTOM")
# Least bytes per weight: what is smaller has lost some.
_BYTES_PER_WEIGHT = {"float32": 4, "float16": 2}
# Largest difference of a float32 file's answer from TensorFlow's.
TOLERANCE = 1e-4

# What TensorFlow's GPU delegate takes, from the switch over operations in
# tensorflow/lite/tools/versioning/gpu_compatibility.cc, for sizes that are
# fixed. TensorFlow's own analyser calls everything compatible.
GPU_OPERATIONS = frozenset(
    "ABS ADD ADD_N AVERAGE_POOL_2D BATCH_MATMUL CAST CEIL CONCATENATION "
    "CONV_2D COS CUMSUM DENSIFY DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE "
    "DIV ELU EMBEDDING_LOOKUP EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD "
    "FULLY_CONNECTED GATHER GELU GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU "
    "LESS LESS_EQUAL LOG LOGICAL_AND LOGISTIC LSTM MAXIMUM MAX_POOL_2D MEAN "
    "MINIMUM MUL NEG NOT_EQUAL ONE_HOT PACK PAD PADV2 POW PRELU QUANTIZE "
    "REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RELU_N1_TO_1 RESHAPE "
    "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SELECT SELECT_V2 SIGN SIN "
    "SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE "
    "SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE "
    "TRANSPOSE_CONV".split()
)


class LiteModel:
    """The signature `serving_default` of a TFLite file, in float32.

    Args:
        contents: bytes of the file.
        threads: int, of the interpreter.
    """

    def __init__(self, contents: bytes, threads: int = 1):
        litert = import_extra("ai_edge_litert.interpreter", "lite")
        self.interpreter = litert.Interpreter(
            model_content=contents, num_threads=threads
        )
        self._call = self.interpreter.get_signature_runner("serving_default")
        self.inputs = self._call.get_input_details()
        self.outputs = self._call.get_output_details()

    def __call__(self, **inputs):
        """Restores float32 inputs by name; answers float32 (N, H, W, 3)."""
        inputs = {
            name: _quantized(value, self.inputs[name])
            for name, value in inputs.items()
        }
        return _real(self._call(**inputs)["restored"], self.outputs["restored"])

    def operations(self):
        """Lists (name, input and output details) of every operation."""
        tensors = {
            tensor["index"]: tensor
            for tensor in self.interpreter.get_tensor_details()
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
            for op in self.interpreter._get_ops_details()
            if op["op_name"] != "DELEGATE"
        ]


def check_contents(contents: bytes, network, precision: str) -> None:
    """Refuses files that lost weights or need foreign operations.

    A conversion can lose all weights without an error: the file is small, it
    loads, and it answers NaN.

    Raises:
        UserError: naming what is wrong.
    """
    names = {name for name, _ in LiteModel(contents).operations()}
    bad = sorted(name for name in names if name.startswith(_FORBIDDEN))
    if bad:
        raise UserError(
            f"the TFLite file needs operations that plain LiteRT lacks: {bad}"
        )
    weights = sum(int(np.prod(v.shape)) for v in network.variables)
    expected = weights * _BYTES_PER_WEIGHT.get(precision, 1)
    if len(contents) < 0.9 * expected:
        raise UserError(
            f"the TFLite file has {len(contents)} bytes, its {weights} weights "
            f"should take {expected}: the conversion lost some"
        )


def compare(contents: bytes, network, size: int | None) -> None:
    """Runs a float32 file on noise and compares it with the network.

    Raises:
        UserError: if they differ by more than `TOLERANCE`.
    """
    model = LiteModel(contents)
    random = np.random.default_rng(0)
    for height, width in [(size, size)] if size else [(1, 1), (33, 50)]:
        inputs = {"image": random.uniform(0, 1, (1, height, width, 3))}
        if network.thumbnail:
            inputs["thumbnail"] = random.uniform(0, 1, (1, *network.thumbnail))
        inputs = {name: v.astype("float32") for name, v in inputs.items()}
        expected = network.restore_tile(*inputs.values()).numpy()
        difference = np.abs(model(**inputs) - expected).max()
        if not difference <= TOLERANCE:  # NaN is not either.
            raise UserError(
                f"the TFLite file's answer to a picture of {height} x {width} "
                f"differs from TensorFlow's by {difference}"
            )


def gpu_obstacles(contents: bytes) -> list:
    """Lists why GPU delegates would leave parts of a file to the CPU.

    By rule, not by running one: the operation must be one of
    `GPU_OPERATIONS`, on tensors of known size that are not 16-bit integers,
    slices in 3 or 4 dimensions.

    Returns:
        list of str, empty if there is nothing in the way.
    """
    found = set()
    for name, tensors in LiteModel(contents).operations():
        if name not in GPU_OPERATIONS:
            found.add(f"{name} is not supported")
        if any(-1 in tensor["shape_signature"] for tensor in tensors):
            found.add("sizes are known only at run time")
        if any(tensor["dtype"] == np.int16 for tensor in tensors):
            found.add("16-bit integers")
        if name in ("SLICE", "STRIDED_SLICE") and len(
            tensors[0]["shape"]
        ) not in (3, 4):
            found.add(f"{name} in {len(tensors[0]['shape'])} dimensions")
    return sorted(found)


def _quantized(values, details):
    dtype = np.dtype(details["dtype"])
    if dtype.kind == "f":
        return values.astype(dtype)
    scale, zero = details["quantization"]
    limits = np.iinfo(dtype)
    levels = np.rint(values / scale) + zero
    return np.clip(levels, limits.min, limits.max).astype(dtype)


def _real(values, details):
    if values.dtype.kind == "f":
        return values
    scale, zero = details["quantization"]
    return (values.astype("float32") - zero) * np.float32(scale)
