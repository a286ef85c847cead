"""Changes to a converted ONNX graph that keep its answers."""

import math

import numpy as np

from tfexposure.errors import import_extra

# Names of the axes of images that may have any length.
_AXES = ("N", "H", "W")


def name_axes(graph):
    """Names the axes of any length by what they are."""
    for tensor in (*graph.input, *graph.output):
        axes = tensor.type.tensor_type.shape.dim
        # One cell for two pixels, and for what they are padded by.
        prefix = "field_" if tensor.name == "field" else ""
        for axis, name in zip(axes, _AXES, strict=False):
            if axis.dim_param:
                axis.dim_param = name if name == "N" else prefix + name


def average_in_steps(model):
    """Splits means over many numbers into means of means.

    ONNX Runtime adds all of them up one after the other in float32. The
    differences between such means are small, so their last digits matter: in
    steps, the answers of the blind model come 10 times nearer.

    Args:
        model: `onnx.ModelProto`, opset 17 or earlier; it is changed.
    """
    onnx = import_extra("onnx", "onnx")
    shapes = _shapes(onnx.shape_inference.infer_shapes(model).graph)
    nodes = []
    for node in model.graph.node:
        shape = shapes.get(node.input[0], []) if node.input else []
        if node.op_type == "ReduceMean":
            nodes += _mean_by_axes(onnx.helper, node)
        elif node.op_type == "GlobalAveragePool" and len(shape) == 3:
            nodes += _mean_of_rows(onnx, model.graph, node, shape[2])
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)


def _shapes(graph):
    """Shapes by tensor; 0 where a length is not known."""
    return {
        tensor.name: [
            axis.dim_value for axis in tensor.type.tensor_type.shape.dim
        ]
        for tensor in (*graph.input, *graph.value_info)
    }


def _mean_by_axes(helper, node):
    """A mean over one axis after the other, the last one first."""
    options = {
        attribute.name: helper.get_attribute_value(attribute)
        for attribute in node.attribute
    }
    axes = sorted(options.pop("axes", ()), reverse=True)
    if len(axes) < 2 or axes[-1] < 0:
        return [node]
    steps = [f"{node.output[0]}/step_{axis}" for axis in axes[:-1]]
    names = [node.input[0], *steps, node.output[0]]
    return [
        helper.make_node("ReduceMean", [first], [then], axes=[axis], **options)
        for first, then, axis in zip(names, names[1:], axes, strict=False)
    ]


def _mean_of_rows(onnx, graph, node, count):
    """A mean over the last of three axes, first by parts as in a square."""
    divisors = range(1, math.isqrt(count) + 1)
    rows = max((d for d in divisors if count % d == 0), default=1)
    if rows == 1:
        return [node]
    (source,), (target,) = node.input, node.output
    shape, square, part = (f"{target}/{n}" for n in ("shape", "square", "part"))
    values = np.array([0, 0, rows, count // rows], "int64")
    graph.initializer.append(onnx.numpy_helper.from_array(values, shape))
    make = onnx.helper.make_node
    return [
        make("Reshape", [source, shape], [square]),
        make("ReduceMean", [square], [part], axes=[3], keepdims=0),
        make("ReduceMean", [part], [target], axes=[2], keepdims=1),
    ]
