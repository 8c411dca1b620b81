"""docs/security.md names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_invariant_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    invariants = re.split(r"^\d+\. ", page.split("## Invariants")[1], flags=re.MULTILINE)[1:]
    assert len(invariants) >= 12
    for text in invariants:
        files = [ROOT / name for name in re.findall(r"tests/test_\w+\.py", text)]
        assert files, text
        code = "".join(file.read_text() for file in files)
        for name in re.findall(r"\b(test_\w+)(?!\w*\.py)\b", text):
            assert f"def {name}(" in code or any(file.stem == name for file in files), name
