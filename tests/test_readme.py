"""What the README shows works as printed (about 2 s)."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The only code block in that language."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(text)


def test_python_example_trains_a_useful_network(tmp_path: Path) -> None:
    command = [sys.executable, "-c", block("python")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    accuracy = float(done.stdout.rpartition(" ")[2])
    assert accuracy > 0.5  # eight gestures: chance is 0.125


def test_c_example_compiles(tmp_path: Path) -> None:
    source = tmp_path / "readme.c"
    source.write_text(block("c"), encoding="utf-8")
    include = ROOT / "runtime_c" / "include"
    command = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{include}", "-c", str(source)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"
