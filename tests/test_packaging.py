"""The package a user gets: what the wheel and the sdist hold, and what importing costs (about 20 s)."""

import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", out, ROOT, cwd=out)
    return next(out.glob("pyedge-*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    options = ["--no-build-isolation", "--no-deps", "--wheel-dir", out]
    run(sys.executable, "-m", "pip", "wheel", *options, sdist, cwd=out)
    return next(out.glob("pyedge-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's contents and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", folder, wheel, cwd=folder)
    return folder


def python(folder: Path, code: str) -> str:
    """Runs code in a fresh interpreter that finds pyedge in folder only (no user site, no editable hook)."""
    hooks = "[f for f in sys.meta_path if not type(f).__module__.startswith('_editable')]"
    start = f"import sys; sys.meta_path[:] = {hooks}\n"
    return run(sys.executable, "-c", f"{start}sys.path.insert(0, {str(folder)!r})\n{code}", cwd=folder)


def test_sdist_holds_all_that_a_build_needs_and_no_leftovers(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CMakeLists.txt", "pyedge/_edge.cdef.txt"} <= names
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "runtime_c").rglob("*.[ch]")} <= names
    leftovers = re.compile(r"(^|/)(build|dist|runs|\.venv|__pycache__|\.git|shared)/|\.(so|o|elf|pyc)$")
    assert not [name for name in names if leftovers.search(name)]


def test_wheel_of_the_sdist_is_abi3_and_holds_every_module(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pyedge").rglob("*.py")}
    assert modules <= names
    assert {"pyedge/_edge.abi3.so", "pyedge/py.typed"} <= names
    assert not [name for name in names if name.startswith("pyedge/") and name.endswith((".c", ".txt"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_works_outside_the_checkout(installed: Path) -> None:
    code = "import pyedge._edge as e; print(e.__file__, e.lib.edge_version())"
    file, number = python(installed, code).split()
    assert Path(file).parent == installed / "pyedge"
    major, minor, patch = map(int, PROJECT["version"].split("."))
    assert int(number) == major << 16 | minor << 8 | patch


def test_every_module_imports_without_the_optional_packages(installed: Path) -> None:
    heavy = ["torch", "matplotlib", "sklearn", "scipy", "onnx", "onnxruntime"]
    for_them = ("pyedge.interop.onnx", "pyedge.ops.torch_")  # imported by nothing else
    code = f"""
import importlib, json, pkgutil
for name in {heavy!r}:
    sys.modules[name] = None  # importing it raises ImportError
import pyedge
found = pkgutil.walk_packages(pyedge.__path__, "pyedge.")
names = [m.name for m in found if not m.name.startswith({for_them!r})]
for name in names:
    importlib.import_module(name)
print(json.dumps(names))
"""
    assert "pyedge.errors" in json.loads(python(installed, code).splitlines()[-1])


def test_entry_point_answers(installed: Path) -> None:
    module, _, function = PROJECT["scripts"]["pyedge"].partition(":")
    python(installed, f"import {module} as m; assert callable(m.{function})")


def test_one_version_everywhere() -> None:
    version = PROJECT["version"]
    header = (ROOT / "runtime_c/include/edge/edge.h").read_text()
    major, minor, patch = map(int, version.split("."))
    assert re.search(rf"#define EDGE_VERSION\s+0x{major << 16 | minor << 8 | patch:08x}\b", header)
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()
