"""Who imports whom, what the package installs, what importing it costs."""

import ast
import subprocess
import sys
import zipfile

import pytest

# Module or folder -> first-level modules of tfexposure it may import. What is
# not listed may import anything; folders may always import themselves.
ALLOWED = {
    "errors": set(),
    "files": {"errors"},
    "config": {"errors", "files"},
    "config_flags": {"config", "errors"},
    "luminance": set(),
    "replicas": set(),
    "exposure": set(),
    "layers": {"replicas"},
    "losses": set(),
    "perceptual": set(),
    "field_of_view": set(),
    "generator": {"layers"},
    "discriminator": {"layers"},
    "metrics": {"errors", "luminance"},
}
# These know nothing of TensorFlow: they run on any backend of Keras, or none.
BACKEND_FREE = (
    *(name for name in ALLOWED if name != "replicas"),
    "camera",
    "natural",
    "photo",
    "cli",
)


def modules(package, name):
    path = package / f"{name}.py"
    files = [path] if path.exists() else sorted((package / name).rglob("*.py"))
    return [(file, ast.parse(file.read_text())) for file in files]


def imported(tree, top_level_only=False):
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names)


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_imports_point_one_way(repository, name):
    package = repository / "tfexposure"
    allowed = ALLOWED[name] | {name}
    for file, tree in modules(package, name):
        for module in imported(tree):
            parts = module.split(".")
            if parts[0] == "tfexposure" and len(parts) > 1:
                assert parts[1] in allowed, f"{file.name} imports {module}"


@pytest.mark.parametrize("name", BACKEND_FREE)
def test_no_tensorflow_below_data_training_and_serving(repository, name):
    for file, tree in modules(repository / "tfexposure", name):
        for module in imported(tree, top_level_only=True):
            assert module.split(".")[0] != "tensorflow", file


def test_training_and_serving_meet_in_the_run_folder_only(repository):
    for name, other in (("training", "serving"), ("serving", "training")):
        for file, tree in modules(repository / "tfexposure", name):
            for module in imported(tree):
                assert not module.startswith(f"tfexposure.{other}"), file


def test_import_loads_nothing_heavy():
    program = (
        "import sys, tfexposure\n"
        "heavy = {'keras', 'tensorflow', 'numpy', 'jax'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_public_name_exists():
    import tfexposure

    for name in tfexposure.__all__:
        assert getattr(tfexposure, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tfexposure.nothing  # noqa: B018


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--wheel-dir", folder, repository),
        ],
        check=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_installs_one_package(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if "dist-info" not in top} == {"tfexposure"}
    for module in (
        "trainers/train_gan.py",
        "export/export_tflite.py",
        "training/loop.py",
    ):
        assert f"tfexposure/{module}" in names
