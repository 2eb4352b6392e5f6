"""What a run says of the machine: against what the machine itself says."""

from pathlib import Path

import pytest
import torch

from escada.runs.environment import environment, narrow_formats

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(
    not CPUINFO.exists() or not hasattr(torch.cpu, "get_capabilities"),
    reason="neither Linux nor torch tell",
)
def test_narrow_formats_are_those_that_linux_lists():
    lines = CPUINFO.read_text().splitlines()
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    found = narrow_formats()
    assert found is not None
    for name in ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni"):
        assert (name in found) == (name in flags)
    assert environment().cpu_narrow_formats == found
