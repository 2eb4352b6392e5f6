"""What a newcomer may do wrong, and the one line that he is told: what, where, and how to mend it.

Every line of the table goes through the real command line. It must end with exit code 2 and one
line that holds the given words; nothing else may appear on standard error, and no file that was
there may change.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from escada.cli import main

TRAIN = "train v1 --preset laptop --budget '2 steps' --device cpu --data {corpus} --out out"
CLIMB = "climb v1 --budget '2 steps' --device cpu --data {corpus}"
PREPARE = "data prepare --out new --source"

TABLE = {
    "the command line itself": [
        ("trian v1", "no such command 'trian'", "did you mean 'train'", "escada --help"),
        ("data prepre", "no such command 'prepre'", "did you mean 'prepare'", "data --help"),
        ("tokenizer nothing", "no such command 'nothing'", "see", "tokenizer --help"),
        ("--nonsense", "no such option: --nonsense", "escada --help"),
        ("train v1 --budgt 3", "no such option: --budgt", "--budget", "train --help"),
        ("train v1 --budget", "--budget", "requires an argument", "see escada train --help"),
        ("data prepare --out", "requires an argument", "see escada data prepare --help"),
        ("train v1 --budget 60 steps", 'needs quotes: --budget "60 steps"', "train --help"),
        ("climb --budget 60 steps v1", "do you mean '60 s', '60 steps'"),
        ("train v1 --set train.budget 3", "KEY=VALUE: --set train.budget=3", "train --help"),
        ("sample {run} --prompt Era uma vez", '--prompt "Era uma vez"', "sample --help"),
        ("sample {run} Era uma vez --n 2", '--prompt "Era uma vez"', "sample --help"),
        ("score {run} O menino", "not a run", '"O menino"'),
        ("sample {run} --temperature 0,8", "'--temperature'", "use a point: 0.8"),
        ("evaluate {run} O menino", 'put what belongs together in quotes, as in "O menino"'),
        ("train v1 v2", "belong to no option or argument: v2", "train --help"),
        ("train", "train needs a rung", "escada rungs"),
        ("evaluate", "one thing", "a run's folder", "--pretrained", "evaluate --help"),
        ("sample", "missing argument 'run'", "sample --help"),
        ("data prepare", "missing option '--out'", "data prepare --help"),
        ("rungs v1", "belong to no option or argument: v1", "rungs --help"),
        ("train v1 --seed -1", "'--seed'", "greater than or equal to 0", "train --help"),
        ("train v1 --seed one", "'--seed'", "valid integer", "train --help"),
        ("train v1 --seed 99999999999999999999", "'--seed'", "less than or equal to"),
    ],
    "rungs and specs": [
        (TRAIN.replace("v1", "v_fnal"), "unknown rung 'v_fnal'", "did you mean 'v_final'"),
        (TRAIN.replace("v1", "''"), "unknown rung ''", "known: v1, v2"),
        (TRAIN.replace("v1", "none.toml"), "spec file not found", "none.toml", "check the path"),
        (TRAIN.replace("v1", "{f}/"), "spec file not found", "{f}", "check the path"),
        (TRAIN.replace("v1", "{f}/not.toml"), "not a TOML file", "line 1", "not.toml"),
        (TRAIN.replace("v1", "{f}/latin1.toml"), "not a TOML file", "byte 0xea", "latin1.toml"),
        (
            "train {f}/typo.toml --preset full --data {corpus} --out out",
            *("unknown key 'model.d_hiden'", "typo.toml", "did you mean 'model.d_hidden'"),
        ),
        (TRAIN.replace("laptop", "labtop"), "unknown preset 'labtop'", "v1", "'laptop'"),
        (TRAIN + " --set model.d_hiden=3", "unknown key 'model.d_hiden'", "'model.d_hidden'"),
        (TRAIN + " --set trian.budget=3", "unknown key 'trian'", "did you mean 'train'"),
        (TRAIN + " --set train.a.b=3", "unknown key 'train.a'", "known: train.batch_sequences"),
        (TRAIN + " --set nonsense", "'nonsense' is not KEY=VALUE", "for example"),
        (TRAIN + " --set preset=laptop", "'preset=laptop' chooses no preset", "--preset NAME"),
        (TRAIN + " --set model=3", "no model.kind", "rung v1", "add [model]"),
        (TRAIN + " --set model.kind=recurent", "unknown model kind", "'recurrent'"),
        (TRAIN + " --set model.kind=os.path", "os.path offers no Config", "docs/adding-a-rung.md"),
        (TRAIN + " --set train.learning_rate=abc", "train.learning_rate", "valid number", "'abc'"),
        (TRAIN + " --set train.learning_rate=3,4", "train.learning_rate", "use a point: 3.4"),
        (TRAIN + " --set train.learning_rate=nan", "train.learning_rate", "finite number", "nan"),
        (TRAIN + " --set train.learning_rate=inf", "train.learning_rate", "finite number", "inf"),
        (TRAIN + " --set train.learning_rate=-1", "train.learning_rate", "greater than 0", "-1"),
        (TRAIN + " --set train.betas=[2,3]", "train.betas.0", "less than 1", "got 2"),
        (TRAIN + " --set train.betas=[0.9]", "train.betas.1", "required", "add it"),
        (TRAIN + " --set train.warmup=soon", "train.warmup", "'soon'", "write '5 %'"),
        (TRAIN + " --set train.budget=3", "train.budget", "a number with a unit", "got 3"),
        (TRAIN + " --set train=3", "train:", "valid dictionary", "got 3"),
        (TRAIN + " --set model.d_hidden=true", "model.d_hidden", "no values of this key"),
        (TRAIN + " --set model.d_hidden=0", "model.d_hidden", "greater than or equal to 1"),
        (TRAIN + " --set model.d_hidden=2.5", "model.d_hidden", "valid integer", "2.5"),
        (TRAIN + " --set name=../up", "name:", "should match pattern", "'../up'"),
        (TRAIN + " --set text.profile=none", "text.profile", "'reference' or 'roadmap'"),
        (TRAIN + " --set train.micro_batch_sequences=7", "not a multiple", "choose a divisor"),
        (TRAIN + " --set tokenizer.kind=bpe", "vocab_size is needed", "for example 4096"),
        (TRAIN + " --set tokenizer.vocab_size=300", "no meaning for 'characters'", "remove it"),
        (TRAIN + " --set train.batch_sequences=99999999999999", "less than or equal to 1048576"),
    ],
    "budgets": [
        (TRAIN.replace("'2 steps'", f"'{wrong}'"), f"budget '{wrong}'", said, hint)
        for wrong, said, hint in (
            ("soon", "not a number with a unit", "for example '60 s'"),
            ("", "not a number with a unit", "for example '60 s'"),
            ("5", "not a number with a unit", "for example '60 s'"),
            ("-5 steps", "must be positive", "for example '60 s'"),
            ("-5", "must be positive", "for example '60 s'"),
            ("1,5 min", "not a number with a unit", "use a point: 1.5"),
            ("nan steps", "not a number with a unit", "for example '60 s'"),
            ("1.2.3 steps", "not a number with a unit", "for example '60 s'"),
            ("5 stepps", "unknown unit 'stepps'", "did you mean 'steps'"),
            ("0 steps", "leaves nothing to train", "for example '60 s'"),
            ("1e999 steps", "has no end", "for example '60 s'"),
        )
    ],
    "what does not fit the corpus": [
        (
            TRAIN.replace("v1", "v4") + " --set tokenizer.vocab_size=60000",
            *("vocabulary too large for the corpus", "the largest that fits is", "smaller"),
        ),
        (
            TRAIN.replace("v1", "v4") + " --set tokenizer.vocab_size=260",
            *("vocabulary too small", "it needs", "larger tokenizer.vocab_size"),
        ),
        (TRAIN + " --set tokenizer.min_count=1000000", "no character occurs", "more text"),
        (TRAIN + " --set train.window_tokens=1000000", "a window needs 1000001", "smaller"),
        (
            TRAIN + " --set text.profile=roadmap",
            *("profile 'reference', the rung reads 'roadmap'", "{corpus}", "data prepare"),
        ),
        (TRAIN + " --set model.d_hidden=1000000000", "not enough memory", "smaller model"),
        (TRAIN + " --set train.precision=fp16", "fp16", "train.precision", "use fp32"),
    ],
    "devices": [
        (TRAIN.replace("cpu", "gpu"), "'gpu' is not one of", "--device", "did you mean 'cpu'"),
        ("evaluate {run} --device xla", "'xla' is not one of 'auto', 'cpu'", "--device"),
        ("sample {run} --device ''", "'' is not one of 'auto', 'cpu'", "--device"),
        (CLIMB.replace("cpu", "gpu"), "'gpu' is not one of", "--device", "did you mean 'cpu'"),
    ],
    "corpora": [
        (TRAIN.replace("{corpus}", "none"), "no prepared corpus", "none", "data prepare"),
        (TRAIN.replace("{corpus}", "{f}/a-file"), "no prepared corpus", "a-file", "prepare"),
        (
            TRAIN.replace("{corpus}", "{f}/damaged-corpus"),
            *("corrupted", "damaged-corpus/train.parquet", "prepare the corpus again"),
        ),
        (
            TRAIN.replace("{corpus}", "{f}/damaged-shard") + " {tiny}",
            *("corrupted shard", "train-00000.bin", "remove", "made again"),
        ),
        ("data stats none", "no prepared corpus", "none", "escada data prepare"),
        ("data stats", "missing argument", "data stats --help"),
        (f"{PREPARE} none.jsonl", "source not found", "none.jsonl", "check the path"),
        (f"{PREPARE} defalt", "source not found", "defalt", "did you mean 'default'"),
        (f"{PREPARE} ''", "the source has no name", "default, brwac", "or a path"),
        (f"{PREPARE} {{f}}/empty.jsonl", "empty corpus", "empty.jsonl", "hold text"),
        (f"{PREPARE} {{f}}/a-file", "too small to be split", "a-file", "at least three"),
        (f"{PREPARE} {{f}}/blank.jsonl", "empty corpus", "blank.jsonl", "hold text"),
        (
            f"{PREPARE} {{f}}/two.jsonl --profile roadmap",
            "empty corpus",
            "fewer than 40 characters",
        ),
        (f"{PREPARE} {{f}}/latin1.txt", "not UTF-8 at byte 2 (0xea)", "latin1.txt", "iconv"),
        (f"{PREPARE} {{f}}/broken.jsonl", "bad JSON", "broken.jsonl:2", "each line is one object"),
        (f"{PREPARE} {{f}}/list.jsonl", "expected a JSON object", "list.jsonl:1", "each line"),
        (f"{PREPARE} {{f}}/without-text.jsonl", "no 'text'", "without-text.jsonl:1", "name the"),
        (f"{PREPARE} {{f}}/number.jsonl", "'text' is neither", "number.jsonl:1", "in quotes"),
        (f"{PREPARE} {{f}}/without-text.parquet", "no 'text' column; there are: texto", "name the"),
        (f"{PREPARE} {{f}}/garbage.parquet", "not a Parquet file", "garbage.parquet", "again"),
        (f"{PREPARE} {{f}}/garbage.txt.gz", "broken gzip file", "garbage.txt.gz", "again"),
        (f"{PREPARE} {{f}}/holds-a-document", "unknown form '.docx'", "thing.docx", "pandoc"),
        ("data prepare {f}/two.jsonl", "named by --source", "data prepare --source", "two.jsonl"),
        ("data prepare {f}/two.jsonl --out new", "named by --source", "two.jsonl"),
        (f"{PREPARE} {{f}}/table.xlsx", "unknown form '.xlsx'", "save it as CSV"),
        (f"{PREPARE} {{f}}/two.jsonl --text-column txt", "no 'txt'", "two.jsonl:1"),
        (f"{PREPARE} {{f}}/two.jsonl --id-column nr", "no 'nr'", "two.jsonl:1"),
        (f"{PREPARE} {{f}}/number.jsonl --skip-bad-rows", "empty corpus", "1 bad row"),
        (f"{PREPARE} {{f}}/two.jsonl", "too small to be split", "two.jsonl", "at least three"),
        (f"{PREPARE} {{f}}/two.jsonl --documents 0", "'--documents'", "or equal to 1", "--help"),
        (f"{PREPARE} {{f}}/two.jsonl --profile rodmap", "'rodmap' is not one of", "did you mean"),
        (f"{PREPARE} default --source-file none.whl", "file not found", "none.whl", "check"),
        (f"{PREPARE} default --source-file {{f}}/a-file", "another SHA-256", "a-file", "remove it"),
        (f"{PREPARE} brwac --source-file none", "file not found", "none", "check the path"),
    ],
    "where to write": [
        (
            "data prepare --source {f}/two.jsonl --out {f}/holds-something",
            *("holds something else", "nothing was overwritten", "choose another --out"),
        ),
        ("data prepare --source {f}/two.jsonl --out {f}/a-file", "not a folder", "a-file", "--out"),
        (
            "data prepare --source {f}/two.jsonl --out {f}/a-file/x",
            *("a file is where a folder is needed", "a-file", "choose another name"),
        ),
        (TRAIN.replace("--out out", "--out {f}/a-file"), "a file is where a folder", "a-file"),
        (TRAIN.replace("--out out", f"--out {'x' * 300}"), "the name is too long", "shorten it"),
        (
            "tokenizer train --kind bytes --data {corpus} --out {f}/holds-something",
            *("folder exists", "holds-something", "choose another name"),
        ),
        (CLIMB + " --out {f}/a-file", "a file is where a folder is needed", "a-file", "choose"),
        (CLIMB + " --out {f}/holds-a-report", "report that no climb wrote", "holds-a-report"),
        (CLIMB + " --out {f}/holds-a-ladder", "ladder.json that no climb wrote", "choose another"),
        (
            TRAIN.replace("out out", "out {f}/runs").replace("2 steps", "6 steps") + " {tiny}",
            *("run folder exists", "{run}", "escada resume", "choose another --out"),
        ),
    ],
    "runs": [
        ("evaluate {run}x", "not a run folder", "did you mean"),
        ("evaluate none", "not a run folder", "none", "escada runs"),
        ("evaluate {f}/a-file", "not a run folder", "a-file", "escada runs"),
        ("sample none", "not a run folder", "none", "escada runs"),
        ("resume none", "not a run folder", "none", "escada runs"),
        ("resume {run}", "the run is finished", "{run}", "escada evaluate"),
        (TRAIN + " --warm-start none", "not a run folder", "none", "escada runs"),
        (TRAIN + " --warm-start {run}", "same model and tokenizer", "{run}", "compare"),
        ("runs none", "no such folder", "none", "check the path"),
        ("runs {f}/a-file", "no such folder, but a file", "a-file", "name the folder"),
        ("report none", "not a run folder", "none", "escada runs"),
        ("evaluate {bad-weights}", "checkpoint is damaged", "model.safetensors", "restore it"),
        ("sample {bad-weights}", "checkpoint is damaged", "model.safetensors", "restore it"),
        ("evaluate {no-facts}", "damaged: it has no", "checkpoint.json", "restore it"),
        ("evaluate {no-checkpoint}", "no checkpoint yet", "checkpoints", "train or resume"),
        ("evaluate {bad-record}", "damaged: it has no 'key'", "record.json", "restore it"),
        ("evaluate {other-schema}", "schema 9", "record.json", "env.json"),
        ("evaluate {bad-tokenizer}", "tokenizer.json", "; "),
        ("evaluate {edited-spec}", "spec was changed", "spec.toml", "restore it"),
        ("resume {edited-spec}", "spec was changed", "spec.toml", "restore it"),
        ("sample {other-spec}", "belongs to another spec", "checkpoints", "restore it"),
    ],
    "evaluate": [
        ("evaluate {run} --split tets", "'tets' is not one of", "did you mean 'test'"),
        ("evaluate {run} --data none", "no prepared corpus", "none", "data prepare"),
        ("evaluate {run} --data {f}/damaged-corpus", "corrupted", "train.parquet", "again"),
        ("evaluate {run} --data {f}/roadmap", "not the corpus that the run was", "roadmap"),
        ("evaluate {run} --text none.txt", "source not found", "none.txt", "check the path"),
        ("evaluate {run} --text 'uma frase'", "takes a file, a folder", "escada score"),
        ("evaluate {run} --text 'O que é isso?'", "takes a file, a folder", "escada score"),
        ("evaluate {run} --text-column x", "--text only", "add --text"),
        ("evaluate {run} --text ''", "the source has no name", "or a path"),
        ("evaluate {run} --text {f}/empty.jsonl", "empty corpus", "empty.jsonl", "hold text"),
        ("evaluate {run} --text {f}/blank.jsonl", "no text to measure", "check the file"),
        ("evaluate {run} --text {f}/latin1.txt", "not UTF-8 at byte 2", "latin1.txt", "iconv"),
        ("evaluate {run} --text {f}/broken.jsonl", "bad JSON", "broken.jsonl:2", "each line"),
    ],
    "sample": [
        ("sample {run} --temperature -1", "temperature = -1.0", "0 is greedy"),
        ("sample {run} --temperature nan", "temperature = nan", "0 is greedy"),
        ("sample {run} --top-k -1", "top_k = -1"),
        ("sample {run} --top-p 2", "top_p = 2.0", "at most 1"),
        ("sample {run} --min-p -1", "min_p = -1.0", "at most 1"),
        ("sample {run} --repetition-penalty 0", "repetition_penalty = 0.0", "1 is none"),
        ("sample {run} --n 0", "'--n'", "greater than or equal to 1", "sample --help"),
        ("sample {run} --n 99999999999", "'--n'", "less than or equal to", "sample --help"),
        ("sample {run} --max-tokens 0", "'--max-tokens'", "greater than or equal to 1"),
    ],
    "tokenizer": [
        ("tokenizer train --out new --data {corpus} --kind bpee", "unknown tokenizer", "'bpe'"),
        ("tokenizer train --out new --data none", "no prepared corpus", "none", "data prepare"),
        ("tokenizer train --out new --data {corpus} --vocab-size 5", "'--vocab-size'", "260"),
        ("tokenizer train --out new --data {corpus} --vocab-size 60000", "vocabulary too large"),
        (
            "tokenizer train --out new --kind bytes --vocab-size 300 --data {corpus}",
            *("--vocab-size has no meaning for 'bytes'", "leave it out"),
        ),
        ("tokenizer encode oi --tokenizer none", "no tokenizer here", "none"),
        ("tokenizer encode --tokenizer {run} --file none", "file not found", "none", "check"),
        (
            "tokenizer encode --tokenizer {run} --file {f}/latin1.txt",
            *("not UTF-8", "latin1.txt", "at byte 2", "save it as UTF-8"),
        ),
        ("tokenizer decode --tokenizer {run} one", "whole numbers", "'one'", "for example"),
        ("tokenizer decode --tokenizer {run} 99999", "99999 is outside", "{run}", "from 0 to"),
        ("tokenizer stats --tokenizer {run} --split tets --data {corpus}", "did you mean 'test'"),
    ],
    "climb": [
        ("climb v1 v1 --data {corpus}", "a rung is named twice", "v1 v1", "name each once"),
        ("climb v1 v_fnal --data {corpus}", "unknown rung 'v_fnal'", "did you mean 'v_final'"),
        (CLIMB + " --preset labtop", "unknown preset 'labtop'", "rung v1", "'laptop'"),
        (CLIMB + " --set text.profile=roadmap", "profile 'reference', the rung reads", "prepare"),
        ("climb v1 --data none", "no prepared corpus", "none", "data prepare"),
        (
            "climb v1 v5 --data {corpus} --set model.d_hidden=3",
            *("unknown key 'model.d_hidden'", "rung v5", "did you mean 'model.d_model'"),
        ),
    ],
}
CASES = [
    pytest.param(command, words, id=f"{title}: {command[:70]}")
    for title, rows in TABLE.items()
    for command, *words in rows
]


PHASE = re.compile(r"v\w+: (tokenizing|trying|checking) .*|evaluating \S+ on its test documents")
"""What a verb may have begun before something was found to be wrong."""


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with its size and time: what must not be lost or overwritten."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def names(scene, corpus_path):
    """What stands in braces in the table."""
    from escada.text.preparation.prepare import prepare

    source = corpus_path.parent / "source.jsonl"
    prepare(str(source), scene.folder / "roadmap", profile="roadmap")
    damaged = {
        path.parent.parent.name: path.parent
        for path in scene.folder.glob("*/*/record.json")
        if path.parent.parent.name != "runs"
    }
    return {
        "f": scene.folder,
        "corpus": scene.corpus,
        "run": scene.run,
        "tiny": scene.tiny,
        **damaged,
    }


@pytest.fixture
def escada(tmp_path, monkeypatch, capsys):
    """The command line in this process, in an empty folder: exit code and standard error."""

    def call(arguments: list[str]) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["escada", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), capsys.readouterr().err

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path / "cache"))
    return call


@pytest.mark.parametrize(("command", "words"), CASES)
def test_one_clear_line_exit_code_2_and_nothing_lost(escada, scene, names, command, words):
    before = snapshot(scene.folder)
    code, said = escada(shlex.split(command.format_map(names)))
    assert code == 2, said
    assert said.endswith("\n")
    *phases, error = said[:-1].split("\n")
    assert error.startswith("escada: ")
    assert [line for line in phases if not PHASE.fullmatch(line)] == []
    for word in words:
        assert word.format_map(names) in error
    after = snapshot(scene.folder)
    assert {name: after.get(name) for name in before} == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_cuda_device_is_one_line(escada, names):
    for command in (TRAIN.replace("cpu", "cuda"), "sample {run} --device cuda"):
        code, said = escada(shlex.split(command.format_map(names)))
        assert (code, said.count("\n")) == (2, 1)
        assert "no CUDA device here (--device); use --device cpu" in said


REAL = [
    ("train v_fnal", "did you mean 'v_final'"),
    ("climb --nonsense", "no such option: --nonsense"),
    ("runs none", "check the path"),
    ("evaluate none", "not a run folder"),
    ("data prepare --out new --source {f}/latin1.txt", "not UTF-8 at byte 2 (0xea)"),
]


@pytest.mark.parametrize(("command", "words"), REAL)
def test_the_same_in_a_process_of_its_own(scene, tmp_path, command, words):
    done = subprocess.run(
        [sys.executable, "-m", "escada", *shlex.split(command.format(f=scene.folder))],
        cwd=tmp_path,
        env=os.environ | {"ESCADA_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("escada: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_a_group_of_verbs_without_its_verb_shows_its_help(escada):
    code, said = escada(["data"])
    assert code == 2
    assert "prepare" in said
    assert "stats" in said


def test_a_reader_that_leaves_ends_the_process_in_silence(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", "from escada.cli import main; main()", "rungs", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.wait() == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_damaged_run_does_not_hide_the_others(escada, scene, capsys, monkeypatch):
    broken = scene.folder / "runs" / "broken"
    broken.mkdir()
    (broken / "record.json").write_text("{")
    try:
        monkeypatch.setattr(sys, "argv", ["escada", "runs", str(scene.folder / "runs"), "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        assert not end.value.code
        assert '"status": "damaged"' in shown.out
        assert '"status": "finished"' in shown.out
    finally:
        (broken / "record.json").unlink()
        broken.rmdir()
