"""Cut a climb's ladder.json down to what docs/roadmap.md is made of.

python benchmarks/excerpt_ladder.py runs/demo docs/results/laptop-climb
escada report docs/results/laptop-climb --roadmap docs/roadmap.md
"""

import sys
from pathlib import Path

from escada.files import read_json, write_json

HEAD = ("schema_version", "created", "preset", "budget", "seed", "seeds", "corpus")
MACHINE = ("cpu", "cores", "memory_bytes", "gpus", "escada", "python", "git")
BASELINE = ("name", "key", "bits_per_byte", "ci95", "protocol")
COMPARISON = (
    *("a", "b", "metric", "scope", "difference", "relative", "ci95"),
    *("p_value", "significant", "verdict"),
)
BASELINE_COMPARISON = ("a", "b", "difference", "ci95", "p_value", "verdict", "scope")
RUNG = (
    *("name", "follows", "about", "run", "preset", "seed", "tokenizer", "status", "parameters"),
    *("protocol", "profile", "corpus_hash", "bits_per_byte", "ci95", "training_tokens"),
    *("training_flops", "training_seconds", "training_bytes", "precision", "device"),
    *("spec_hash", "key", "settings", "beats_previous"),
)


def cut(table: dict, keys: tuple[str, ...]) -> dict:
    return {key: table[key] for key in keys if key in table}


def main() -> None:
    climb, out = map(Path, sys.argv[1:])
    ladder = read_json(climb / "ladder.json")
    excerpt = cut(ladder, HEAD) | {
        "machine": cut(ladder["machine"], MACHINE),
        "baselines": [cut(row, BASELINE) for row in ladder["baselines"]],
        "comparisons": [cut(row, COMPARISON) for row in ladder["comparisons"]],
        "baseline_comparisons": [
            cut(row, BASELINE_COMPARISON) for row in ladder["baseline_comparisons"]
        ],
        "rungs": [cut(row, RUNG) for row in ladder["rungs"]],
    }
    write_json(out / "ladder.json", excerpt)
    print(out / "ladder.json")


if __name__ == "__main__":
    main()
