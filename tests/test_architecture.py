"""Who imports whom, what the package installs, what importing it costs."""

import ast
import shutil
import subprocess
import sys
import zipfile

import pytest

# Floors of the house, lowest first. A package or module imports from floors
# below its own; what shares a floor does not import each other.
FLOORS = (
    ("errors", "lazy", "replicas", "scripts"),
    ("quiet", "storage", "web"),
    ("imaging", "weights"),
    ("config", "layers", "losses", "metrics", "perceptual"),
    ("blind", "config_flags", "paper"),
    ("data", "pretrained"),
    ("evaluation",),
    ("runtime", "training"),
    ("photo",),
    ("serving",),
    ("experiments", "http"),
    ("cli",),
)
FLOOR = {name: i for i, names in enumerate(FLOORS) for name in names}
# These import TensorFlow, if at all, inside functions: they run on any backend
# of Keras, or on none.
MAY_NEED_TENSORFLOW = {
    "data",
    "experiments",
    "replicas",
    "runtime",
    "serving",
    "training",
}


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


def test_every_package_has_its_floor(repository):
    package = repository / "tfexposure"
    found = {
        path.stem
        for path in package.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert found - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("name", sorted(FLOOR))
def test_imports_point_one_way(repository, name):
    """Nested imports count too; only the root's version may be had by all."""
    for file, tree in modules(repository / "tfexposure", name):
        for module in imported(tree):
            parts = module.split(".")
            if parts[0] != "tfexposure" or len(parts) == 1:
                continue
            other = parts[1]
            if other in (name, "__version__"):
                continue
            assert FLOOR.get(other, 99) < FLOOR[name], (
                f"{file.name} imports {module}"
            )


@pytest.mark.parametrize("name", sorted(set(FLOOR) - MAY_NEED_TENSORFLOW))
def test_no_tensorflow_below_data_training_and_serving(repository, name):
    for file, tree in modules(repository / "tfexposure", name):
        for module in imported(tree, top_level_only=True):
            assert module.split(".")[0] != "tensorflow", file


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


PAGE = ("index.html", "litert/some.wasm")


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory):
    source = tmp_path_factory.mktemp("source")
    for name in ("tfexposure", "trainers", "export"):
        without = shutil.ignore_patterns("__pycache__", "page")
        shutil.copytree(repository / name, source / name, ignore=without)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(repository / name, source)
    # A stand-in for what `make web` builds.
    page = source / "tfexposure" / "web" / "page"
    (page / "litert").mkdir(parents=True)
    for name in PAGE:
        (page / name).touch()
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--wheel-dir", folder, source),
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
        "pretrained/natural.tflite",
        *(f"web/page/{name}" for name in PAGE),
    ):
        assert f"tfexposure/{module}" in names
