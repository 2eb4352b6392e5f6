"""What is counted as a device, alone and with torchrun."""

import pytest
import torch

from escada.cost.hardware import hardware


@pytest.mark.parametrize(("processes", "here", "machines"), [(None, None, 1), (2, 2, 1), (4, 2, 2)])
def test_processes_of_one_machine_share_its_processor(monkeypatch, processes, here, machines):
    for name, value in (("WORLD_SIZE", processes), ("LOCAL_WORLD_SIZE", here)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, str(value))
    found = hardware(torch.device("cpu"))
    assert (found.count, found.here, found.processes) == (machines, 1, processes or 1)
    assert found.threads == torch.get_num_threads() * (here or 1)
    assert found.title


def test_gpus_are_named_by_their_uuid_and_found_in_the_table(monkeypatch):
    class Properties:
        name, total_memory = "NVIDIA GeForce RTX 3060", 12 * 2**30

        def __init__(self, number):
            self.uuid = f"a-{number}"

    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "get_device_properties", Properties)
    found = hardware(torch.device("cuda"))
    assert (found.count, found.here, found.processes) == (4, 2, 4)
    assert found.uuids == ("GPU-a-0", "GPU-a-1")
    assert found.device.name == "rtx3060-12gb"
