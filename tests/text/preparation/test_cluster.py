"""Shares on a cluster: options, errors, and the corpus that one core makes, by every executor.

Those that need datatrove and Ray run in an environment of their own: `make test-scale`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from tests.processes import escada
from tests.text.preparation.killing import corpus_hash, names, prepare, prepare_killed

from escada.errors import EscadaError
from escada.files import read_json, sha256_file
from escada.text.preparation import prepare as prepare_module
from escada.text.preparation.cluster import SlurmOptions, SubmittedError, on_slurm, run_of
from escada.text.preparation.cluster.block import Block
from escada.text.preparation.parts import Parts, make_parts
from escada.text.reading import Rules
from escada.text.sources import open_source

SMALL = 20_000
"""Characters of a part here: about ten parts."""


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    reason = f"escada[scale] is not installed here: {', '.join(missing)}; see make test-scale"
    return pytest.mark.skipif(bool(missing), reason=reason)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_module, "make_parts", partial(make_parts, part_characters=SMALL))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('partitoin = "cpu"\ntime = "1:00:00"', "did you mean 'partition'?"),
        ('partition = "cpu"', "time: Field required"),
        ('partition = "cpu"\ntime = "1:00:00"\nmem_per_cpu_gb = 0', "mem_per_cpu_gb"),
        ("partition = cpu", "not a TOML file"),
    ],
)
def test_wrong_options_are_refused_in_one_line(table: str, said: str, tmp_path: Path):
    path = tmp_path / "slurm.toml"
    path.write_text(table, encoding="utf-8")
    with pytest.raises(EscadaError) as error:
        run_of("slurm", path, 8, print)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_slurm_needs_a_number_of_tasks_and_this_machine_no_options(tmp_path: Path):
    with pytest.raises(EscadaError, match="--workers"):
        run_of("slurm", None, None, print)
    with pytest.raises(EscadaError, match="partition"):
        run_of("slurm", None, 8, print)
    with pytest.raises(EscadaError, match="no meaning"):
        run_of("local", tmp_path / "ray.toml", 8, print)


@pytest.mark.parametrize("executor", ["ray", "slurm"])
def test_without_the_extra_one_line_names_it(executor, tmp_path: Path, monkeypatch):
    for module in ("datatrove", "ray"):
        monkeypatch.setitem(sys.modules, module, None)
    options = tmp_path / "options.toml"
    options.write_text(
        'partition = "cpu"\ntime = "1:00:00"' if executor == "slurm" else "", "utf-8"
    )
    with pytest.raises(EscadaError, match=r"not installed; pip install 'escada\[scale\]'"):
        run_of(executor, options, 2, print)


@needs("datatrove")
def test_a_block_does_its_work_where_it_was_made_and_leaves_its_error(tmp_path: Path, monkeypatch):
    user, elsewhere = tmp_path / "user", tmp_path / "elsewhere"
    for folder in (user, elsewhere):
        folder.mkdir()
    (user / "shares_of_mine.py").write_text(
        "from pathlib import Path\n"
        "from escada.errors import EscadaError\n"
        "def share(*, rank, world, parent):\n"
        "    Path(f'{rank}-of-{world}').touch()\n"
        "    if rank == 1: raise EscadaError('um erro', where='aqui', fix='assim')\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(user)
    monkeypatch.syspath_prepend(user)
    import shares_of_mine

    block = Block(shares_of_mine.share, tmp_path / "logs")
    monkeypatch.delitem(sys.modules, "shares_of_mine")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(user)])
    monkeypatch.chdir(elsewhere)
    block(rank=0, world_size=2)
    block.raise_error()
    with pytest.raises(EscadaError):
        block(rank=1, world_size=2)
    assert names(user) >= {"0-of-2", "1-of-2"}
    with pytest.raises(EscadaError, match=r"um erro \(aqui\); assim"):
        block.raise_error()


def in_datatroves_processes(share, folder: Path) -> None:
    from datatrove.executor import LocalPipelineExecutor

    logs = folder / "logs"
    two = {"tasks": 2, "workers": 2, "start_method": "spawn"}
    executor = LocalPipelineExecutor([Block(share, logs)], logging_dir=str(logs), **two)
    executor.run()


@needs("datatrove")
@pytest.mark.slow
def test_the_blocks_make_the_same_parts_under_datatroves_local_executor(source, tmp_path: Path):
    opened, made = partial(open_source, str(source)), {}
    for name, run in (("one", None), ("datatrove", in_datatroves_processes)):
        folder = tmp_path / name
        folder.mkdir()
        rules = Rules("reference")
        make_parts(opened(), opened, rules, folder, run=run, part_characters=SMALL)
        made[name] = [
            (path.name, [(file.name, sha256_file(file)) for file in sorted(path.iterdir())])
            for path in Parts(folder).paths
        ]
    assert made["one"] == made["datatrove"]
    assert len(made["one"]) > 5


# Ray: a cluster of two machines with a core each, on this one.


@pytest.fixture(scope="module")
def ray_cluster():
    """What a process needs to find it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "memory": 2**30, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=size)
    cluster.add_node(**size)
    yield os.environ | {"RAY_ADDRESS": cluster.address, "RAY_USAGE_STATS_ENABLED": "0"}
    cluster.shutdown()


@pytest.fixture
def ray_options(tmp_path: Path) -> list[object]:
    path = tmp_path / "ray.toml"
    path.write_text("mem_per_cpu_gb = 0.75", encoding="utf-8")
    return ["--executor", "ray", "--executor-options", path]


@needs("ray", "datatrove")
@pytest.mark.slow
def test_a_ray_cluster_makes_the_corpus_of_one_core_also_when_killed(
    source, ray_cluster, ray_options, tmp_path: Path
):
    one, two, killed = (tmp_path / name for name in ("one", "two", "killed"))
    small = {"env": ray_cluster, "part_characters": SMALL}
    on_ray = ["--source", source, *ray_options]
    prepare(one, ["--source", source, "--workers", "1"])
    prepare(two, on_ray, **small)
    assert corpus_hash(one) == corpus_hash(two)
    assert names(two) == names(one)
    assert prepare_killed(killed, on_ray, **small) >= 2
    assert corpus_hash(one) == corpus_hash(killed)
    assert names(killed) == names(one)


@needs("ray", "datatrove")
@pytest.mark.slow
def test_errors_on_a_ray_cluster_are_one_line(
    large_source, ray_cluster, ray_options, tmp_path: Path
):
    path = tmp_path / "texts.jsonl"
    path.write_text(large_source.read_text(encoding="utf-8") + "\n{not json", encoding="utf-8")
    out = tmp_path / "out"
    command = ["data", "prepare", "--source", path, *ray_options, "--out", out]
    done = escada(command, env=ray_cluster)
    assert done.returncode == 2
    assert "texts.jsonl:9001" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("escada: bad JSON")
    ray_options[-1].write_text("cpus_per_task = 64")
    done = escada(command, env=ray_cluster)
    assert "no machine of the Ray cluster has 64 CPU" in done.stderr
    done = escada(command, env=ray_cluster | {"RAY_ADDRESS": "127.0.0.1:1"})
    assert "no Ray cluster answers" in done.stderr


# Slurm: its programs are stand-ins that start what datatrove submits, in the background.

SBATCH = f'''#!{sys.executable}
"""Runs a script as Slurm would: an array, after the job it depends on, in the background."""
import os, re, subprocess, sys, time
from pathlib import Path

home = Path(__file__).parent
*options, script = sys.argv[1:]
text = Path(script).read_text()
(job := home / f"job-{{len(list(home.glob('job-*'))) + 1}}").mkdir()
(job / "script").write_text(text)
print("Submitted batch job", job.name.removeprefix("job-"), flush=True)
if os.fork():
    sys.exit()
os.setsid()
for stream in (1, 2):
    os.dup2(os.open(job / "output", os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream)
given = " ".join([*options, *re.findall("^#SBATCH (.*)", text, re.M)])
codes = []
if after := re.search(r"--dependency=afterok:(\\d+)", given):
    while not (ended := home / f"job-{{after[1]}}" / "codes").exists():
        time.sleep(0.05)
    codes = [code for code in ended.read_text().split() if code != "0"]
if not codes:
    for rank in range(int(re.search(r"--array=0-(\\d+)", given)[1]) + 1):
        slurm = {{"SLURM_ARRAY_TASK_ID": str(rank), "RUN_OFFSET": "0", "SLURM_NODELIST": "one"}}
        done = subprocess.run(["bash", job / "script"], env=os.environ | slurm)
        codes.append(str(done.returncode))
(job / "new").write_text(" ".join(codes))
(job / "new").rename(job / "codes")
'''
SQUEUE = """#!/bin/sh
cd "$(dirname "$0")"
for job in job-*; do [ -e $job/codes ] || echo ${job#job-}; done
"""
SRUN = '#!/bin/sh\nwhile [ "$1" != launch_pickled_pipeline ]; do shift; done\nexec "$@"\n'
SCONTROL = "#!/bin/sh\necho localhost\n"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    programs = tmp_path / "slurm"
    programs.mkdir()
    given = {"sbatch": SBATCH, "squeue": SQUEUE, "srun": SRUN, "scontrol": SCONTROL}
    for name, text in given.items():
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return programs


def on_fake_slurm(source: Path, out: Path, workers: int = 2):
    """Submits a preparation, as `escada data prepare` does."""
    options = SlurmOptions(partition="cpu", time="1:00:00", finish_mem_per_cpu_gb=8)
    call = partial(prepare_module.prepare, str(source), out)
    with pytest.raises(SubmittedError) as submitted:
        call(run=on_slurm(options, workers, call))
    return str(submitted.value)


def wait_for_jobs(slurm: Path) -> None:
    while len(list(slurm.glob("job-*/codes"))) < len(list(slurm.glob("job-*"))):
        time.sleep(0.1)


@needs("datatrove")
@pytest.mark.slow
def test_jobs_of_slurm_make_the_corpus_of_one_core(source, slurm, small_parts, tmp_path: Path):
    one = prepare_module.prepare(str(source), tmp_path / "one")
    out = tmp_path / "two"
    said = on_fake_slurm(source, out)
    assert "job 1 makes the parts in 2 tasks, then job" in said
    jobs = read_json(out / ".logs" / "slurm.json")["jobs"]
    assert f"squeue --jobs {','.join(jobs)}" in said
    assert "already submitted" in on_fake_slurm(source, out)
    wait_for_jobs(slurm)
    assert (slurm / f"job-{jobs[0]}" / "codes").read_text() == "0 0"
    assert corpus_hash(out) == one.hash
    script = (slurm / f"job-{jobs[1]}" / "script").read_text()
    assert "#SBATCH --mem-per-cpu=8G" in script
    assert names(out) - names(one.path) == {".logs"}
    assert prepare_module.prepare(str(source), out).hash == one.hash


@needs("datatrove")
@pytest.mark.slow
def test_after_a_failed_job_the_same_command_goes_on(source, slurm, small_parts, tmp_path: Path):
    out = tmp_path / "out"
    srun = slurm / "srun"
    srun.write_text('#!/bin/sh\n[ "$SLURM_ARRAY_TASK_ID" = 0 ] || exit 9\n' + SRUN, "utf-8")
    on_fake_slurm(source, out)
    wait_for_jobs(slurm)
    made = {path: path.stat().st_mtime_ns for path in out.glob(".parts-*/[0-9]*")}
    assert len(made) > 3
    assert not (out / "manifest.json").exists()
    srun.write_text(SRUN, "utf-8")
    assert "submitted to Slurm" in on_fake_slurm(source, out, workers=3)
    one = prepare_module.prepare(str(source), tmp_path / "one")
    wait_for_jobs(slurm)
    assert corpus_hash(out) == one.hash


@needs("datatrove")
def test_without_sbatch_nothing_is_left(source, small_parts, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "out"
    call = partial(prepare_module.prepare, str(source), out)
    options = SlurmOptions(partition="cpu", time="1:00:00")
    with pytest.raises(EscadaError, match="there is no sbatch here"):
        call(run=on_slurm(options, 2, call))
    assert not out.exists()
