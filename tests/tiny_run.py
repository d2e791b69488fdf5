"""A configuration whose run takes seconds."""

import json
from pathlib import Path

from keel.config import RunSettings
from keel.settings import parse

FEW = Path(__file__).with_name("files") / "phosphorus.extxyz.xz"
"""Every twentieth frame of keel's phosphorus."""
TINY = {
    "name": "phosphorus",
    "data": {
        "files": [str(FEW)],
        "split": {"by": "start", "group": "phase", "train": 4, "validation": 2, "test_frames": 6},
    },
    "networks": [{"architecture": "CGCNN", "cutoff": 4.0, "features": 8, "convolutions": 1, "hidden": 8}],
    "strategies": ["vanilla", "pretrain"],
    "training": {"steps": 20, "batch_size": 2, "validate_every": 10, "checkpoint_every": 2, "warmup_steps": 2},
    "teacher": {"cutoff": 5.0},
    "md": {"temperatures": [500, 2000], "runs": 2, "length_fs": 20, "longest_fs": 40},
    "evaluation": {"rdf_temperature": 500, "rdf_length_fs": 20, "rdf_runs": 1},
}
VARYING = {"wall_seconds", "cell_seconds", "peak_memory_mb"}


def tiny(**changes) -> RunSettings:
    return parse(RunSettings, {**TINY, **changes}, "test")


def numbers(folder: Path) -> list[dict]:
    records = json.loads((folder / "summary.json").read_text())
    return [{k: v for k, v in r.items() if k not in VARYING} for r in records]
