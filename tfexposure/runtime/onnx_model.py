"""Models in folders of ONNX files, run by ONNX Runtime."""

import os
from pathlib import Path

from tfexposure.errors import UserError, import_extra
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
    LOOKED,
    first_line,
    take_thumbnail,
)

# The files, by the names of the signatures that they are in other exports.
FILES = {DEFAULT: "restore.onnx", LOOK: "look.onnx", FIELD: "field.onnx"}
# What each takes and answers.
_TENSORS = {
    DEFAULT: (("image",), ("restored",)),
    LOOK: (("thumbnail",), LOOKED),
    FIELD: (("image", "slopes", "code"), ("field",)),
}


def is_onnx_folder(path):
    """Whether a folder holds at least one of the files of an export."""
    return any(Path(path, name).is_file() for name in FILES.values())


class OnnxModel(Model):
    """Runs the files of an ONNX export, on the processor.

    `restore.onnx` restores windows of a photo. A model with affine
    coefficients has `look.onnx` and `field.onnx` in its place, which encode a
    photo and answer its coefficients.

    Args:
        folder: with these files and `manifest.json`.
        threads: int, of one call; one per core if None.

    Raises:
        UserError: if ONNX Runtime is not installed, or a file is missing,
            does not load, or does not take and answer what it should.
    """

    def __init__(self, folder, threads=None):
        self._runtime = import_extra("onnxruntime", "onnx")
        self._folder = Path(folder)
        self._threads = threads or os.cpu_count() or 1
        manifest = read_manifest(folder)
        if manifest is None:
            raise UserError(f"{folder}: has no manifest.json; export it again")
        take_manifest(self, manifest, folder)
        self.grid_spec = grid_spec_of(manifest, folder)
        self._names = (LOOK, FIELD) if self.grid_spec else (DEFAULT,)
        self._sessions = self._open()
        if self.grid_spec:
            (thumbnail,) = self._sessions[LOOK].get_inputs()
            take_thumbnail(self, thumbnail.shape, self._path(LOOK))

    def restore(self, image, thumbnail=None):
        if self.grid_spec:
            return self.restore_by_grid(image, thumbnail)
        (restored,) = self._run(DEFAULT, image)
        return restored

    def encode_photo(self, thumbnail):
        return tuple(self._run(LOOK, thumbnail))

    def affine_coefficients(self, image, slopes, embedding):
        (field,) = self._run(FIELD, image, slopes, embedding)
        return field

    def share(self, calls):
        # One thread each is faster than all threads for each in turn.
        self._threads = max(1, (os.cpu_count() or 1) // calls)
        self._sessions = self._open()

    def _path(self, name):
        return self._folder / FILES[name]

    def _open(self):
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 4  # What goes wrong is raised, too.
        # Threads that wait for the next call would take the core of the code
        # between the calls.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return {name: self._session(name, options) for name in self._names}

    def _session(self, name, options):
        path = self._path(name)
        try:
            session = self._runtime.InferenceSession(
                os.fspath(path), options, ["CPUExecutionProvider"]
            )
        except Exception as error:  # Many kinds, all about the file.
            raise UserError(
                f"{path}: not an ONNX file that loads ({first_line(error)})"
            ) from error
        _check_tensors(session, name, path)
        return session

    def _run(self, name, *values):
        takes, answers = _TENSORS[name]
        inputs = {
            key: value[None] for key, value in zip(takes, values, strict=True)
        }
        return [value[0] for value in self._sessions[name].run(answers, inputs)]


def _check_tensors(session, name, path):
    for found, expected in zip(
        (session.get_inputs(), session.get_outputs()),
        _TENSORS[name],
        strict=True,
    ):
        names = sorted(tensor.name for tensor in found)
        if names != sorted(expected):
            raise UserError(
                f"{path}: expected the tensors {', '.join(sorted(expected))}; "
                f"it has {', '.join(names)}"
            )
