"""How fast the same network is in every format and runtime.

    python benchmarks/inference.py                     # the U-Net of width 16
    python benchmarks/inference.py --run_dir=runs/first --photos=samples
    python benchmarks/inference.py --model=natural     # what `correct` calls

Every variant sees the same picture. Runs are interleaved, so that a change of
the machine's clock or load meets all of them, and medians are given. Beside
the time stands the share of the machine's own matrix-multiply peak, measured
in the same minutes with as many threads. OpenVINO is for comparison only;
where it is not installed (pip install openvino) it is left out and named.

With `--model` it is the network's two functions, as `tfexposure correct` calls
them for a photo of that size, in the files as they are exported, for any size.

Each number of threads runs in a process of its own: TensorFlow takes it once.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags

from tfexposure.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "Run to take the generator from.")
flags.DEFINE_string(
    "model", None, "In place of a run, a blind model that ships: natural."
)
flags.DEFINE_integer("filters", 16, "Width of the generator without a run.")
flags.DEFINE_string("photos", "samples", "Folder of well-exposed photos.")
flags.DEFINE_list("sizes", ["256", "512", "1024"], "Sides, in pixels.")
flags.DEFINE_list("threads", ["1", "2"], "Numbers of threads.")
flags.DEFINE_integer("repeats", 7, "Timed runs of each variant.")
flags.DEFINE_list("only", [], "Variants to run beside Keras; all if empty.")
flags.DEFINE_string("json", None, "File for all figures.")
flags.DEFINE_integer("worker", 0, "Internal: number of threads to run with.")

PRECISIONS = ("float32", "float16", "dynamic_int8", "int8")


def main(_):
    if FLAGS.worker:
        print(json.dumps(measure(FLAGS.worker)))
        return
    print(f"{platform.processor() or platform.machine()}, {_cpu()}")
    print(f"load before: {os.getloadavg()[0]:.2f}\n")
    results = []
    for threads in FLAGS.threads:
        print(f"... {threads} thread(s)", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, *sys.argv, f"--worker={threads}"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=os.environ | {"OMP_NUM_THREADS": threads},
        )
        results.append(json.loads(done.stdout.splitlines()[-1]))
        print(table(results[-1]))
    print(f"load after: {os.getloadavg()[0]:.2f}")
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps(results, indent=1))


def measure(threads):
    """Times all variants with this many threads."""
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from tfexposure import runtime, serving
    from tfexposure.metrics import decibels
    from tfexposure.serving import scoring

    generator = _generator()
    model = runtime.KerasModel(generator)
    flops = _flops_per_pixel(generator)
    make = _blind_variants if FLAGS.model else _variants
    result = {"threads": threads, "sizes": {}, "missing": {}}
    with tempfile.TemporaryDirectory() as folder:
        saved = serving.export_saved_model(generator, folder, 1)
        for side in map(int, FLAGS.sizes):
            photos = scoring.read_examples(FLAGS.photos, side, 8)
            inputs = scoring.as_inputs(model, photos, [0.5])
            variants, missing = make(
                generator, model, saved, side, inputs, threads
            )
            result["missing"] |= missing
            variants["matrix multiply"] = _matrix_multiply(threads)
            times = _interleaved(variants, inputs[0]["image"])
            # Keras comes first.
            expected = next(iter(variants.values()))(inputs[0]["image"])
            peak = 2 * 2048**3 / min(times.pop("matrix multiply"))
            rows = {}
            for name, values in times.items():
                answer = variants[name](inputs[0]["image"])
                error = float(np.mean(np.square(answer - expected)))
                median = statistics.median(values)
                rows[name] = {
                    "ms": round(1000 * median, 2),
                    "least_ms": round(1000 * min(values), 2),
                    "psnr_db": round(
                        float(decibels(error, scoring.FLOAT_CAP)), 1
                    ),
                    # Of float32 operations, whatever the precision.
                    "share_of_peak": round(flops * side**2 / median / peak, 3),
                }
            result["sizes"][side] = {
                "rows": rows,
                "peak_gflops": round(peak / 1e9, 1),
            }
    return result


def _variants(generator, model, saved, side, inputs, threads):
    """Returns functions of the picture by name, and what is missing and why."""
    import tensorflow as tf

    from tfexposure import serving
    from tfexposure.runtime.lite import LiteModel

    call = tf.saved_model.load(str(saved)).signatures["serving_default"]
    # XLA compiles neither loops of unknown shapes nor string operations, so
    # it gets the folded network itself.
    compiled = tf.function(model.graph.restore_tile, jit_compile=True)
    unfolded = tf.function(lambda image: generator(image, training=False))
    makers = {
        "Keras predict": lambda: (
            lambda image: generator.predict(image, verbose=0)
        ),
        "Keras tf.function, not folded": lambda: (
            lambda image: unfolded(tf.constant(image)).numpy()
        ),
        "SavedModel": lambda: (
            lambda image: call(image=tf.constant(image))["restored"].numpy()
        ),
        "SavedModel + XLA": lambda: (
            lambda image: compiled(tf.constant(image)).numpy()
        ),
        "ONNX Runtime": lambda: _onnx(model, side, threads),
        "OpenVINO": lambda: _openvino(model, side, threads),
    }

    def lite(precision):
        contents = serving.convert_to_tflite(model, precision, side, inputs)
        lite_model = LiteModel(contents, threads)
        return lambda image: lite_model.restore(image[0])[None]

    for precision in PRECISIONS:
        makers[f"TFLite {precision}"] = lambda p=precision: lite(p)
    return _made(makers)


def _blind_variants(generator, model, saved, side, inputs, threads):
    """The same of the two functions that `correct` calls."""
    from tfexposure import runtime, serving
    from tfexposure.runtime.lite import LiteModel
    from tfexposure.runtime.onnx_model import OnnxModel
    from tfexposure.serving import onnx

    (thumbnail,) = inputs[0]["thumbnail"]

    def network(opened):
        def call(image):
            slopes, embedding, _ = opened.encode_photo(thumbnail)
            return opened.affine_coefficients(image[0], slopes, embedding)[None]

        return call

    def onnx_model():
        folder = Path(saved).with_name("onnx")
        manifest = runtime.make_manifest(model)
        onnx.write_onnx(folder, onnx.convert_to_onnx(model), manifest)
        return OnnxModel(folder, threads)

    def lite_model(precision):
        contents = serving.convert_to_tflite(model, precision)
        return LiteModel(contents, threads)

    openers = {
        "Keras tf.function": lambda: model,
        "SavedModel": lambda: runtime.open_model(saved),
        "ONNX Runtime": onnx_model,
        "TFLite float32": lambda: lite_model("float32"),
        "TFLite dynamic_int8": lambda: lite_model("dynamic_int8"),
    }
    return _made(
        {
            name: lambda opener=opener: network(opener())
            for name, opener in openers.items()
        }
    )


def _made(makers):
    """What `--only` asks for and is installed; what is missing, and why."""
    variants, missing = {}, {}
    for name, make in makers.items():
        if variants and FLAGS.only and name not in FLAGS.only:
            continue
        try:
            variants[name] = make()
        except (ImportError, UserError) as error:
            missing[name] = str(error)
    return variants, missing


def _onnx(model, side, threads):
    import onnxruntime
    import tf2onnx

    function = _fixed(model, side)
    converted, _ = tf2onnx.convert.from_function(
        function, function.input_signature, opset=17
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        converted.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    return lambda image: session.run(None, {"image": image})[0]


def _openvino(model, side, threads):
    import openvino
    import tensorflow as tf

    module = tf.Module()
    module.parameters = model.graph.variables
    module.call = _fixed(model, side)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.call)
        converted = openvino.convert_model(folder)
    compiled = openvino.Core().compile_model(
        converted,
        "CPU",
        # Some processors would run in bfloat16 unasked.
        {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads},
    )
    return lambda image: compiled([image])[0]


def _fixed(model, side):
    import tensorflow as tf

    spec = tf.TensorSpec((1, side, side, 3), tf.float32, "image")
    return tf.function(lambda image: model.graph.restore_tile(image), [spec])


def _matrix_multiply(threads):
    """A product of two 2048 x 2048 float32 matrices: the machine's peak."""
    import tensorflow as tf

    matrix = tf.random.stateless_normal((2048, 2048), (0, 1))
    product = tf.function(tf.matmul)
    return lambda _: product(matrix, matrix).numpy()


def _interleaved(variants, image):
    """Returns seconds by name; every round runs every variant once."""
    for call in variants.values():
        call(image)
        call(image)
    times = {name: [] for name in variants}
    for _ in range(FLAGS.repeats):
        for name, call in variants.items():
            start = time.perf_counter()
            call(image)
            times[name].append(time.perf_counter() - start)
    return times


def _generator():
    from tfexposure import runtime
    from tfexposure.paper.generator import UNetGenerator

    if FLAGS.model:
        return runtime.load_shipped(FLAGS.model).generator
    if FLAGS.run_dir:
        return runtime.load_generator(FLAGS.run_dir)
    generator = UNetGenerator(filters=FLAGS.filters)
    generator.build((None, None, None, 3))
    return generator


def _flops_per_pixel(generator):
    """Multiplications and additions of all convolutions, per input pixel."""
    import keras
    import numpy as np

    if FLAGS.model:
        return generator.flops_per_pixel
    total, area = 0.0, 1.0
    levels = [*generator.encoder, generator.bottleneck]
    for level in levels:
        for block in level:
            total += 2 * np.prod(block.layer.kernel.shape) * area
        area /= 4
    area *= 4
    for upsampler, level in zip(
        generator.upsamplers, generator.decoder, strict=True
    ):
        transposed = isinstance(upsampler.layer, keras.layers.Conv2DTranspose)
        # A transposed one works once per input pixel, at the lower level.
        at = area if transposed else 4 * area
        total += 2 * np.prod(upsampler.layer.kernel.shape) * at
        area *= 4
        for block in level:
            total += 2 * np.prod(block.layer.kernel.shape) * area
    return total + 2 * np.prod(generator.output_block.layer.kernel.shape)


def table(result):
    """Returns one number of threads as a Markdown table."""
    sizes = list(result["sizes"])
    names = list(result["sizes"][sizes[0]]["rows"])
    lines = [
        f"**{result['threads']} thread(s)**; matrix-multiply peak "
        + ", ".join(
            f"{result['sizes'][side]['peak_gflops']} GFLOP/s at {side}"
            for side in sizes
        ),
        "",
        "| variant | "
        + " | ".join(f"{s}² ms | share of peak" for s in sizes)
        + " | PSNR to Keras, dB |",
        "|---" * (2 * len(sizes) + 2) + "|",
    ]
    for name in names:
        cells = []
        for side in sizes:
            row = result["sizes"][side]["rows"][name]
            cells += [f"{row['ms']:.1f}", f"{row['share_of_peak']:.0%}"]
        quality = result["sizes"][sizes[-1]]["rows"][name]["psnr_db"]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {quality} |")
    for name, reason in result["missing"].items():
        lines.append(f"\n{name} was left out: {reason}")
    return "\n".join(lines) + "\n"


def _cpu():
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return f"{os.cpu_count()} cores"
    names = [
        line.split(":")[1].strip()
        for line in text.splitlines()
        if line.startswith("model name")
    ]
    return f"{len(names)} x {names[0] if names else 'unknown'}"


def run():
    app.run(main)


if __name__ == "__main__":
    run()
