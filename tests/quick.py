"""Names the tests that `make check` runs: a few of every part, and those of what git says changed.

The test of `src/escada/text/batches.py` is `tests/text/**/test_*batches*.py`, wherever its folder
lies below the package's. A changed test file is its own. Tests that start processes for most of a
minute (`LONG`) are left to `make test`, and so are conftest.py files, which many tests read.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONG = ("tests/e2e", "tests/recipes", "tests/faults/test_full_disk.py", "tests/training")
SMOKE = """
tests/test_spec.py tests/test_terminal.py tests/cost/test_flops.py tests/runs/test_time_budget.py
tests/training/test_calibration.py tests/training/test_schedules.py
tests/evaluation/test_text_score.py tests/report/test_findings.py tests/report/test_tex.py
tests/serve/test_scheduler.py tests/cli/test_cli_misspelled.py tests/cli/test_cli_runs.py
tests/text/test_batches.py::test_an_epoch_has_every_token_as_a_target_once
tests/text/test_batches.py::test_two_seeds_give_two_orders_and_one_seed_one
tests/text/preparation/test_splitting.py::test_the_split_is_pinned
tests/models/test_models_contract.py::test_logits_are_one_row_of_the_vocabulary_for_each_token_in_fp32
tests/models/test_models_contract.py::test_a_changed_token_changes_no_logit_before_it
tests/models/test_models_contract.py::test_the_gradient_reaches_every_parameter
tests/generation/test_decoding.py::test_logits_with_state_equal_those_of_recomputation
tests/generation/test_decoding.py::test_a_row_stops_at_eos_and_the_others_go_on
tests/evaluation/test_ruler.py::test_a_uniform_model_costs_log2_v_a_token_by_hand
tests/evaluation/test_ruler.py::test_an_unknown_character_costs_unk_and_the_bits_that_name_it
tests/evaluation/test_ruler.py::test_windows_score_each_target_once_with_half_a_window_of_context
""".split()
"""Half a minute on one core, while the other one lints; of large files a few tests."""


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def changed() -> list[Path]:
    """What differs from main, committed or not, and what git does not know yet."""
    (base,) = git("merge-base", "main", "HEAD")
    names = git("diff", "--name-only", base) + git("ls-files", "--others", "--exclude-standard")
    return [Path(name) for name in names if name.endswith(".py") and (ROOT / name).exists()]


def tests_of(path: Path) -> list[Path]:
    """The test files of a changed file, relative to the root."""
    if path.is_relative_to("tests"):
        return [path] if path.name.startswith("test_") else []
    if not path.is_relative_to("src/escada") or path.stem.startswith("__"):
        return []
    part = ROOT / "tests" / Path(*path.relative_to("src/escada").parts[:-1][:1])
    return [found.relative_to(ROOT) for found in sorted(part.rglob(f"test_*{path.stem}*.py"))]


def main() -> None:
    found = [test for path in changed() for test in tests_of(path)]
    touched = [name for name in map(str, found) if not name.startswith(LONG)]
    smoke = [test for test in SMOKE if test.partition("::")[0] not in touched]
    print(*dict.fromkeys([*smoke, *touched]))


if __name__ == "__main__":
    main()
