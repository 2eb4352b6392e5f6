"""What is measured: groups of sides that take turns, and the rows that they give.

A *side* is a job in a worker. The sides of a *group* run in turns (ours, peer, ours, peer, …), so
that what else the machine does falls on all alike. A *row* sets one side beside another in one
quantity. A side that cannot be had takes its own rows with it, never those of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from escada.spec import load_spec

OURS, TRANSFORMERS, KERAS = "ours_worker.py", "transformers_worker.py", "keras_worker.py"

CHARACTERS = 140
"""Vocabulary of the peers' character models; ours has the corpus' own, which is about that."""
V_FINAL_BATCH = 8
KERAS_BATCH = {"v1": 256, "v2": 64, "v3": 64, "v5": 8}
"""Windows a step, on both sides. The roadmap's are 256, 256, 384 and 8 (64 in micro-batches of 8);
v2 and v3 are measured at 64, so that five repeats take a minute."""
PROMPT_TOKENS, NEW_TOKENS = 32, 224
NAIVE_BATCH = 16
EVALUATED_BYTES = 40_000
LAPTOP = ("v1", "v2", "v3", "v4", "v4_gru", "v5", "v_final")
TEST_SPLIT_SECONDS = 20.0
MORE_REPEATS = 11
"""Where a turn on a machine with an unsteady pace differs most from the next."""
MATRIX = {"bfloat16": 4096, "float32": 2048}


@dataclass(frozen=True)
class Side:
    worker: str
    job: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Row:
    """`ours` and `peer` are sides of the group; `peer` may be a number: a limit or an aim."""

    name: str
    ours: str
    peer: str | float | None
    quantity: str
    unit: str
    scale: float = 1.0
    aim: float | None = None
    """The ratio that issue 4 asks for."""
    seconds: bool = False
    """The figure is seconds for one of the quantity, so less is better."""
    peer_name: str | None = None


@dataclass(frozen=True)
class Group:
    name: str
    sides: dict[str, Side]
    rows: list[Row]
    turn_seconds: float = 1.5
    """A side's turn lasts at least about this long."""
    repeats: int = 5
    limit_seconds: float = 180.0
    """For one answer of a worker."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Settings:
    data: Path
    threads: int
    texts: Path
    ids: Path
    runs: dict[str, Path]
    """Trained laptop runs by rung, for the difference in loss between two protocols."""


def groups(settings: Settings) -> Iterator[Group]:
    """All of them, the dearest last."""
    yield from _text(settings)
    yield from _evaluation(settings)
    yield from _v_final(settings)
    yield _dropout(settings)
    yield from _generation(settings)
    yield from _keras(settings)


# --- training -------------------------------------------------------------------------------------


def _ours_train(settings: Settings, rung: str, *overrides: str) -> Side:
    options = {
        "data": str(settings.data),
        "rung": rung,
        "preset": "full",
        "overrides": list(overrides),
    }
    return Side(OURS, "train", options)


def _peer_options(rung: str, batch: int, **model: Any) -> dict[str, Any]:
    """The sizes of a rung for a peer, from our spec."""
    spec = load_spec(rung, preset="full")
    train = spec.train
    return {
        "model": spec.model.model_dump(mode="json") | model,
        "optimizer": {
            "kind": train.optimizer,
            "learning_rate": train.learning_rate,
            "betas": list(train.betas),
            "weight_decay": train.weight_decay,
            "clip_norm": train.clip_norm,
        },
        "vocab_size": spec.tokenizer.vocab_size or CHARACTERS,
        "window_tokens": train.window_tokens,
        "batch_sequences": batch,
    }


def _batch(n: int, micro: bool = False) -> list[str]:
    overrides = [f"train.batch_sequences={n}"]
    return [*overrides, f"train.micro_batch_sequences={n}"] if micro else overrides


NO_DROPOUT = ["model.dropout=0.0", "model.attention_dropout=0.0"]


def _v_final(settings: Settings) -> Iterator[Group]:
    batch = _batch(V_FINAL_BATCH, micro=True)

    def peer(precision: str, attention: str, **model: Any) -> Side:
        options = _peer_options("v_final", V_FINAL_BATCH, **model)
        return Side(
            TRANSFORMERS, "train", options | {"precision": precision, "attention": attention}
        )

    off = {"dropout": 0.0, "attention_dropout": 0.0}
    yield Group(
        "train.v_final",
        {
            "ours": _ours_train(settings, "v_final", *batch, *NO_DROPOUT),
            "ours compiled": _ours_train(
                settings, "v_final", *batch, *NO_DROPOUT, "train.compile=true"
            ),
            "fp32": peer("fp32", "sdpa", **off),
            "bf16": peer("bf16", "eager", **off),
            "bf16 sdpa": peer("bf16", "sdpa", **off),
            "bf16 product": Side(
                OURS, "product", {"dtype": "bfloat16", "size": MATRIX["bfloat16"]}
            ),
            "fp32 product": Side(OURS, "product", {"dtype": "float32", "size": MATRIX["float32"]}),
        },
        [
            Row(
                "train.v_final.vs_transformers_fp32", "ours", "fp32", "tokens", "tokens/s", aim=1.7
            ),
            Row(
                "train.v_final.vs_transformers_bf16_sdpa", "ours", "bf16 sdpa", "tokens", "tokens/s"
            ),
            Row(
                "train.v_final.vs_matmul_peak_fp32", "ours", "fp32 product", "flop", "GFLOP/s", 1e-9
            ),
            *(
                row
                for name, side in (("v_final", "ours"), ("v_final_compiled", "ours compiled"))
                for row in (
                    Row(
                        f"train.{name}.vs_transformers_bf16", side, "bf16", "tokens", "tokens/s",
                        aim=1.0,
                    ),
                    Row(
                        f"train.{name}.vs_matmul_peak", side, "bf16 product", "flop", "GFLOP/s",
                        1e-9, 0.6,
                    ),
                )
            ),
        ],
        repeats=MORE_REPEATS,
        notes=["no dropout on either side"],
    )  # fmt: skip
    yield Group(
        "train.v_final_dropout",
        {
            "ours": _ours_train(settings, "v_final", *batch),
            "fp32": peer("fp32", "sdpa"),
            "bf16": peer("bf16", "eager"),
        },
        [
            Row("train.v_final_dropout.vs_transformers_fp32", "ours", "fp32", "tokens", "tokens/s"),
            Row("train.v_final_dropout.vs_transformers_bf16", "ours", "bf16", "tokens", "tokens/s"),
        ],
        notes=["dropout 0.1 everywhere, attention included, on both sides"],
    )


def _dropout(settings: Settings) -> Group:
    batch = _batch(8, micro=True)
    return Group(
        "train.v5.dropout",
        {
            "with": _ours_train(settings, "v5", *batch),
            "without": _ours_train(settings, "v5", *batch, *NO_DROPOUT),
        },
        [
            Row(
                "train.v5.dropout",
                "with",
                "without",
                "tokens",
                "tokens/s",
                aim=0.9,
                peer_name="v5 without dropout",
            )
        ],
        notes=["dropout and attention dropout 0.1 against none"],
    )


def _keras(settings: Settings) -> Iterator[Group]:
    aims = {"v1": 1.5, "v2": 2.0, "v3": 2.2, "v5": 1.8}
    for rung, batch in KERAS_BATCH.items():
        options = _peer_options(rung, batch)
        rows = [
            Row(f"train.{rung}.vs_keras", "ours", "fp32", "steps", "steps/s", aim=aims[rung]),
            Row(f"train.{rung}.vs_keras_bf16", "ours", "bf16", "steps", "steps/s"),
        ]
        if rung != "v5":
            name = f"predictions.{rung}.vs_keras"
            rows.append(Row(name, "ours", "fp32", "predictions", "predictions/s", aim=250.0))
        sides = {
            "ours": _ours_train(settings, rung, *_batch(batch, micro=rung == "v5")),
            "fp32": Side(KERAS, "train", options),
            "bf16": Side(KERAS, "train", options | {"precision": "mixed_bfloat16"}),
        }
        if options["model"].get("recurrent_dropout"):
            plain = _peer_options(rung, batch, recurrent_dropout=0.0)
            sides["plain"] = Side(KERAS, "train", plain)
            name = f"train.{rung}.vs_keras_plain"
            rows.append(Row(name, "ours", "plain", "steps", "steps/s"))
        yield Group(
            f"train.{rung}.vs_keras",
            sides,
            rows,
            notes=["ours trains every position, Keras the last one (v5: both train every one)"],
            limit_seconds=240,
        )


# --- generation -----------------------------------------------------------------------------------


def _generation(settings: Settings) -> Iterator[Group]:
    spec = load_spec("v_final", preset="full")
    # Narrow weights are where a stream on its own gains most; docs/generation.md has their loss.
    for rows, aim, best in ((1, 2.0, "int8"), (16, 3.0, "bf16")):
        shape = {"rows": rows, "prompt_tokens": PROMPT_TOKENS, "new_tokens": NEW_TOKENS}
        ours = {
            "data": str(settings.data),
            "rung": "v_final",
            "sampler": {"greedy": True},
            "options": {},
            **shape,
        }
        peer = {
            "model": spec.model.model_dump(mode="json"),
            "vocab_size": spec.tokenizer.vocab_size,
            "sampler": {"do_sample": False},
            **shape,
        }
        name = f"generate.v_final.b{rows}.vs_transformers"
        yield Group(
            f"generate.v_final.b{rows}",
            {
                "ours": Side(OURS, "generate", ours),
                "ours bf16": Side(OURS, "generate", ours | {"options": {"weights": "bf16"}}),
                "ours int8": Side(OURS, "generate", ours | {"options": {"weights": "int8"}}),
                "ours w8a8": Side(OURS, "generate", ours | {"options": {"weights": "w8a8"}}),
                "fp32": Side(TRANSFORMERS, "generate", peer),
                "bf16": Side(TRANSFORMERS, "generate", peer | {"precision": "bf16"}),
            },
            [
                Row(name, "ours", "fp32", "tokens", "tokens/s"),
                Row(f"{name}_bf16", "ours bf16", "bf16", "tokens", "tokens/s"),
                *(
                    Row(
                        f"generate.v_final.b{rows}_{weights}.vs_transformers",
                        f"ours {weights}",
                        "fp32",
                        "tokens",
                        "tokens/s",
                        aim=aim if weights == best else None,
                    )
                    for weights in ("bf16", "int8", "w8a8")
                ),
            ],
            repeats=MORE_REPEATS,
            notes=[
                f"{PROMPT_TOKENS} + {NEW_TOKENS} tokens, greedy, fresh weights: their distribution "
                "is flat as no trained model's is, so that drawing from it would cost too much"
            ],
        )


# --- evaluation -----------------------------------------------------------------------------------


def _evaluation(settings: Settings) -> Iterator[Group]:
    for rung, aim, windows in (("v5", 100.0, 96), ("v1", 200.0, 96)):
        for preset in ("full", "laptop"):
            run = str(settings.runs[rung]) if preset == "laptop" and rung in settings.runs else None
            shared = {"data": str(settings.data), "rung": rung, "preset": preset, "run": run}
            most = EVALUATED_BYTES if preset == "full" else 8 * EVALUATED_BYTES
            n = windows if preset == "full" else 8 * windows
            suffix = "" if preset == "full" else "_laptop"
            yield Group(
                f"evaluate.{rung}{suffix}",
                {
                    "ruler": Side(OURS, "ruler", shared | {"most_bytes": most}),
                    "one": Side(OURS, "naive_windows", shared | {"windows": n, "batch": 1}),
                    "batches": Side(
                        OURS, "naive_windows", shared | {"windows": n, "batch": NAIVE_BATCH}
                    ),
                },
                [
                    Row(
                        f"evaluate.{rung}{suffix}.vs_naive_windows", "ruler", "one", "targets",
                        "targets/s", aim=aim if preset == "full" else None,
                        peer_name="stride-2 windows, last target, one at a time",
                    ),
                    Row(
                        f"evaluate.{rung}{suffix}.vs_batched_windows", "ruler", "batches",
                        "targets", "targets/s",
                        peer_name=f"stride-2 windows, last target, {NAIVE_BATCH} at a time",
                    ),
                ],
                notes=["two protocols: the ruler reads whole documents, the loop windows"],
            )  # fmt: skip
    for rung in LAPTOP:
        options = {
            "data": str(settings.data), "rung": rung, "preset": "laptop",
            "run": str(settings.runs[rung]) if rung in settings.runs else None, "most_bytes": None,
        }  # fmt: skip
        name = f"evaluate.test_split.{rung}"
        yield Group(
            name,
            {"ruler": Side(OURS, "ruler", options)},
            [
                Row(
                    name, "ruler", TEST_SPLIT_SECONDS, "splits", "s", aim=1.0, seconds=True,
                    peer_name="the aim",
                )
            ],
            turn_seconds=0.0,
            repeats=3,
        )  # fmt: skip


# --- text -----------------------------------------------------------------------------------------


def _text(settings: Settings) -> Iterator[Group]:
    texts = {"texts_path": str(settings.texts)}
    megabytes = ("bytes", "MB/s", 1e-6)
    yield Group(
        "text.characters",
        {way: Side(OURS, "characters", texts | {"way": way}) for way in ("ours", "dict")},
        [
            Row("text.characters", "ours", "dict", *megabytes),
            Row("text.characters.vs_aim", "ours", 300.0, *megabytes, aim=1.0, peer_name="the aim"),
        ],
        turn_seconds=0.5,
        repeats=7,
    )
    subwords = texts | {"vocab_size": 4096}
    threads = {"threads": settings.threads}
    yield Group(
        "text.subwords",
        {
            "ours": Side(OURS, "sentences", subwords | threads | {"way": "ours"}),
            "library": Side(OURS, "sentences", subwords | threads | {"way": "library"}),
            "tiktoken": Side(TRANSFORMERS, "tiktoken", subwords | threads),
        },
        [
            Row("text.sentencepiece.vs_library", "ours", "library", *megabytes, aim=0.95),
            Row("text.bpe.vs_tiktoken", "ours", "tiktoken", *megabytes),
        ],
        turn_seconds=0.3,
        repeats=25,
        notes=["4,096 pieces; all documents of the training split, on all threads"],
    )
    shape = {"window_tokens": 256, "batch_sequences": 64}
    ids = {"ids_path": str(settings.ids)} | shape
    yield Group(
        "text.windows",
        {
            "ours": Side(OURS, "windows", subwords | shape),
            "window": Side(KERAS, "windows", ids | {"way": "window"}),
            "gather": Side(KERAS, "windows", ids | {"way": "gather"}),
        },
        [
            Row("text.windows.vs_tf_data", "ours", "window", "batches", "batches/s"),
            Row("text.windows.vs_tf_data_gather", "ours", "gather", "batches", "batches/s"),
        ],
        turn_seconds=0.7,
        notes=["batches of 64 x 256"],
    )
