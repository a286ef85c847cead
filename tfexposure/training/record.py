"""What a run was: `run.json` in its folder answers that alone."""

import datetime
import json
import platform
import socket
import sys

import keras
from absl import logging

import tfexposure
from tfexposure.storage import commit, write_atomically

FILE_NAME = "run.json"


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
    if starts and starts[0]["data"] != data:
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
    try:
        return json.loads(path.read_text(encoding="utf-8"))["starts"]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError) as error:
        logging.warning("%s is not a record, begun anew: %s", path, error)
        return []


def describe(photos):
    """Returns source, count and fingerprint of photos, as a dict."""
    return {
        "source": photos.source,
        "count": photos.count,
        "fingerprint": photos.fingerprint(),
    }
