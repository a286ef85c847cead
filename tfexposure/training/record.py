"""What a run was: `run.json` in its folder answers that alone."""

import datetime
import json
import platform
import socket
import sys

import keras
from absl import logging

import tfexposure
from tfexposure.errors import UserError
from tfexposure.storage import commit, read_json, write_atomically

FILE_NAME = "run.json"
# What a record says of photos, by the flag that names them.
_SOURCES = {"data.source": "train", "data.validation_source": "validation"}


def same_photos(run_dir, data):
    """Returns the flags whose photos are those of the run's first start.

    Wherever they lie by now: their fingerprints say so.

    Args:
        run_dir: `RunDir`.
        data: as for `write_record`.
    """
    starts = _read(run_dir.path / FILE_NAME)
    before = _fingerprints(starts[0]["data"]) if starts else {}
    now = _fingerprints(data)
    return [
        flag
        for flag, name in _SOURCES.items()
        if name in now and now[name] == before.get(name)
    ]


def write_record(run_dir, data, backend, step):
    """Adds this start of the run to its record.

    The record is `{"starts": [...]}`, one entry per start: time, step,
    command, versions, commit, machine, devices, and number and fingerprint of
    the photos. If those differ from the first start's, a warning is logged:
    the run no longer sees what it would have seen.

    Args:
        run_dir: `RunDir`.
        data: dict from `train` and, if there are any, `validation` to what
            `describe` says of the photos.
        backend: the backend; see `backends`.
        step: int, steps done before this start.
    """
    path = run_dir.path / FILE_NAME
    starts = _read(path)
    if starts and _fingerprints(starts[0]["data"]) != _fingerprints(data):
        logging.warning(
            "the photos have changed since this run began: %s, now %s",
            starts[0]["data"],
            data,
        )
    starts.append(
        {
            "time": datetime.datetime.now(datetime.UTC).isoformat(
                "T", "seconds"
            ),
            "step": step,
            "command": sys.argv,
            "versions": {
                "tfexposure": tfexposure.__version__,
                "python": platform.python_version(),
                "keras": keras.__version__,
                **backend.versions(),
            },
            "commit": commit(),
            "host": socket.gethostname(),
            "platform": platform.platform(),
            "strategy": backend.name,
            "replicas": backend.replicas,
            "devices": backend.devices(),
            "data": data,
        }
    )
    write_atomically(path, json.dumps({"starts": starts}, indent=2) + "\n")


def _read(path):
    """Returns the starts; none of a damaged record, which stops no run."""
    try:
        starts = read_json(path, "begun anew")["starts"]
        for start in starts:
            _fingerprints(start["data"])
        return starts
    except FileNotFoundError:
        return []
    except UserError as error:
        logging.warning("%s", error)
    except (AttributeError, KeyError, TypeError):
        logging.warning("%s is not a record, begun anew", path)
    return []


def _fingerprints(data):
    return {name: about["fingerprint"] for name, about in data.items()}


def describe(photos):
    """Returns source, count and fingerprint of photos, as a dict."""
    return {
        "source": photos.source,
        "count": photos.count,
        "fingerprint": photos.fingerprint(),
    }
