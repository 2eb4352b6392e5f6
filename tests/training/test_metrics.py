"""The log of a training reads after a crash as if there had been none."""

import csv
import json
import os

import psutil

from escada.runs.layout import Layout
from escada.training.metrics import MetricsLog, read_rows


def test_rows_after_the_checkpoint_are_cut_off_on_resume(tmp_path):
    layout = Layout(tmp_path)
    with MetricsLog(layout, step=0) as log:
        for step in (1, 2, 3, 4):
            log.write({"kind": "train", "step": step, "loss": step / 10})
    with MetricsLog(layout, step=2) as log:
        log.write({"kind": "train", "step": 3, "loss": 9.0})
    assert [(r["step"], r["loss"]) for r in read_rows(layout)] == [
        (1, 0.1),
        (2, 0.2),
        (3, 9.0),
    ]


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path):
    layout = Layout(tmp_path)
    with MetricsLog(layout, step=0) as log:
        log.write({"kind": "train", "step": 1, "loss": 1.0})
    with layout.metrics.open("a") as file:
        file.write('{"kind": "train", "st')
    with MetricsLog(layout, step=5) as log:
        log.write({"kind": "train", "step": 6, "loss": 6.0})
    assert [r["step"] for r in map(json.loads, layout.metrics.read_text().splitlines())] == [1, 6]


def test_the_csv_and_the_events_hold_the_same_rows(tmp_path):
    layout = Layout(tmp_path)
    with MetricsLog(layout, step=0) as log:
        log.write({"kind": "train", "step": 1, "loss": 1.5, "learning_rate": 0.1})
        log.write({"kind": "validation", "step": 1, "bits_per_byte": 2.5})
    with layout.metrics.with_suffix(".csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["kind"], r["loss"], r["bits_per_byte"]) for r in rows] == [
        ("train", "1.5", ""),
        ("validation", "", "2.5"),
    ]
    events = b"".join(f.read_bytes() for f in layout.tensorboard.iterdir())
    assert b"train/loss" in events
    assert b"validation/bits_per_byte" in events


def test_a_row_is_on_the_disk_before_a_checkpoint_can_count_it(tmp_path, monkeypatch):
    layout, durable = Layout(tmp_path), {}
    fsync = os.fsync

    def noted(descriptor):
        fsync(descriptor)
        durable[os.fstat(descriptor).st_ino] = os.fstat(descriptor).st_size

    monkeypatch.setattr(os, "fsync", noted)
    with MetricsLog(layout, step=0) as log:
        for step in (1, 2):
            log.write({"kind": "train", "step": step, "loss": 1.0})
            file = layout.metrics.stat()
            assert durable[file.st_ino] == file.st_size > 0


def test_the_rows_are_in_closed_files_while_the_training_goes_on(tmp_path):
    layout = Layout(tmp_path)
    with MetricsLog(layout, step=0) as log:
        log.write({"kind": "train", "step": 1, "loss": 1.0})
        held = {file.path for file in psutil.Process().open_files()}
        assert not held & {str(layout.metrics), str(layout.metrics.with_suffix(".csv"))}
