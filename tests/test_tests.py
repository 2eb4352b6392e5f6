"""What tests share is in a conftest.py, or in a module that is no test."""

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_no_test_module_imports_another():
    importing = re.compile(r"^\s*(from|import) +tests(\.\w+)*\.(import +)?test_", re.MULTILINE)
    assert importing.search("from tests.serve.test_scheduler import make")
    found = [path for path in HERE.rglob("*.py") if importing.search(path.read_text("utf-8"))]
    assert [path for path in found if path != Path(__file__)] == []
