"""What a TFLite file holds, and whether it answers as its network does."""

import numpy as np

from tfexposure.errors import UserError
from tfexposure.runtime.lite import LiteModel

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


def check_contents(contents: bytes, model, precision: str) -> None:
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
    weights = sum(int(np.prod(v.shape)) for v in model.graph.variables)
    expected = weights * _BYTES_PER_WEIGHT.get(precision, 1)
    if len(contents) < 0.9 * expected:
        raise UserError(
            f"the TFLite file has {len(contents)} bytes, its {weights} weights "
            f"should take {expected}: the conversion lost some"
        )


def compare(contents: bytes, model, size: int | None) -> None:
    """Runs a float32 file on noise and compares it with its `KerasModel`.

    Raises:
        UserError: if they differ by more than `TOLERANCE`.
    """
    lite = LiteModel(contents)
    random = np.random.default_rng(0)
    for height, width in [(size, size)] if size else [(1, 1), (33, 50)]:
        inputs = [random.uniform(0, 1, (height, width, 3))]
        if model.thumbnail:
            inputs.append(random.uniform(0, 1, model.thumbnail_shape))
        inputs = [values.astype("float32") for values in inputs]
        difference = np.abs(
            lite.restore(*inputs) - model.restore(*inputs)
        ).max()
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
