"""record.json: what a run is, how it is trained, and the state of its training.

    record = read_record(run.layout.record)
    record.setup.device, record.best_bits_per_byte

`RunRecord` is the only description of that file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from escada.errors import EscadaError
from escada.files import read_json
from escada.runs.layout import RESTORE

SCHEMA_VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class RecordedTokenizer(_Part):
    """The run's tokenizer."""

    kind: str
    vocab_size: int
    hash: str


class RecordedPrecision(_Part):
    """The number format of the matrix products."""

    name: Literal["fp32", "bf16", "fp16"]
    reason: str = ""


class RecordedCompile(_Part):
    """Whether the training step was compiled."""

    on: bool
    reason: str = ""


class RecordedSetup(_Part):
    """What must be equal for a bit-identical resume.

    The defaults are right for older runs, which lack the last four fields.
    """

    device: str
    threads: int
    precision: str
    micro_batch_sequences: int
    """Per forward pass of one process."""
    torch: str
    cpu_capability: str
    processes: int = 1
    compiled: bool = False
    sharded: bool = False
    matmul_library: Literal["blas", "onednn"] = "blas"
    """The library that multiplies in linear layers."""


class RecordedMatmulLibrary(_Part):
    """The library that multiplies in linear layers, and why."""

    name: Literal["blas", "onednn"]
    reason: str = ""


class EarlierSetup(RecordedSetup):
    """A setup used before a resume changed it."""

    to: int
    """The last step with it."""


class RecordedSharding(_Part):
    """Whether the training state was divided among the processes."""

    on: bool
    reason: str = ""


class MicroBatchChoice(_Part):
    """How the micro-batch was chosen."""

    wanted: int | Literal["auto", "batch"]
    """From the spec: a number, `auto`, or `batch` for as much of the batch as fits."""
    sequences: int
    memory_bytes: int | None = None
    """Memory limit for the choice; None if the spec gives a number."""


class Continued(_Part):
    """The run that this one continues."""

    run: str
    key: str
    budget: str
    step: int
    training_seconds: float


class PredictedCost(_Part):
    """The plan's prediction, for comparison with the measured cost."""

    hours: float | None = None
    kwh: float | None = None
    usd: float | None = None
    brl: float | None = None
    tokens_per_second: float | None = None
    training_flops: float | None = None
    memory: dict[str, int] = {}
    """Bytes by part, and their `total`."""
    memory_bytes: int | None = None
    seconds_per_step: float | None = None
    pace: dict[str, str | float | None] | None = None
    """See `escada.cost.machine.Pace`."""


class RunRecord(BaseModel):
    """record.json; absent keys are None here and are not written."""

    model_config = ConfigDict(extra="allow", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    key: str
    """From `run_key`."""
    name: str
    """Of the rung."""
    preset: str
    seed: int
    status: str
    """`training`, `interrupted` or `finished`."""
    spec_hash: str
    corpus_hash: str
    tokenizer: RecordedTokenizer
    budget: str
    created: str
    """ISO 8601."""
    module_folders: list[str] = []
    """Folders of the modules from outside the package."""

    dry_run: bool
    warm_start: str | None = None
    """Folder of the run that the initial weights come from."""
    continued_from: Continued | None = None
    precision: RecordedPrecision
    matmul_library: RecordedMatmulLibrary | None = None
    compile: RecordedCompile | None = None
    sharding: RecordedSharding | None = None
    micro_batch: MicroBatchChoice | None = None
    setup: RecordedSetup
    """Of the latest steps."""
    earlier_setups: list[EarlierSetup] = []
    keeps_large_blocks: bool | None = None
    """Whether the process keeps freed memory blocks of 32 MiB or more; None on a GPU."""

    parameters: int | None = None
    predicted: PredictedCost | None = None
    total_steps: int | None = None
    """Fixed before the schedule starts."""
    planned_steps: int | None = None
    """Steps that the budget of a dry run would allow."""
    calibrated_seconds_per_step: float | None = None

    step: int | None = None
    best_step: int | None = None
    best_bits_per_byte: float | None = None
    stopped_early: bool | None = None
    training_seconds: float | None = None
    """Without validation and saving."""
    training_tokens: int | None = None
    """Trained predictions."""
    training_flops: float | None = None
    tokens_per_second: float | None = None
    peak_memory_bytes: int | None = None

    def to_json(self) -> dict[str, object]:
        """The content of the file."""
        return self.model_dump(mode="json", exclude_unset=True)


_FORMER_NAMES = {"circumstances": "setup", "earlier_circumstances": "earlier_setups"}
"""Keys before 2026-12."""


def read_record(path: Path) -> RunRecord:
    """Read a record.json, including earlier versions.

    Raises:
        EscadaError: missing, damaged, or of another schema.
    """
    table = read_json(path)
    version = table.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise EscadaError(
            f"the run has schema {version}, this escada reads {SCHEMA_VERSION}",
            where=path,
            fix="use the version of escada in its env.json",
        )
    present = {_FORMER_NAMES.get(name, name): value for name, value in table.items()}
    if folder := present.pop("model_folder", None):
        present["module_folders"] = [folder]
    try:
        return RunRecord.model_validate(present)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        missing = problem["type"] == "missing"
        what = f"it has no {key!r}" if missing else f"{key}: {problem['msg']}"
        raise EscadaError(f"damaged: {what}", where=path, fix=RESTORE) from error


def check_spec_hash(found: str, recorded: str | None, where: Path) -> None:
    """Raise an EscadaError unless a run's spec.toml is the one that it was trained with."""
    if recorded is not None and found != recorded:
        raise EscadaError(
            "the run's spec was changed after the training began",
            where=where,
            fix="restore it, or start a new run from the changed spec",
        )
