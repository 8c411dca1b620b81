"""The package's names hang together: what is listed is there, and what is there is told (about 5 s)."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import pyedge
from pyedge import errors, runtime

TOP = {m.name for m in pkgutil.iter_modules(pyedge.__path__) if not m.name.startswith("_")}
PACKAGES = [m.name for m in pkgutil.walk_packages(pyedge.__path__, "pyedge.") if m.ispkg]


def test_the_package_lists_every_module_but_the_commands() -> None:
    assert set(pyedge.MODULES) == TOP - {"cli", "reproduce"}
    listed = {word.strip(",") for word in str(pyedge.__doc__).split()}
    assert set(pyedge.MODULES) <= listed, set(pyedge.MODULES) - listed
    assert set(pyedge.MODULES) <= set(dir(pyedge))


@pytest.mark.parametrize("name", pyedge.MODULES)
def test_a_module_is_there_as_an_attribute_and_says_what_it_is(name: str) -> None:
    assert getattr(pyedge, name) is importlib.import_module(f"pyedge.{name}")
    assert getattr(pyedge, name).__doc__


@pytest.mark.parametrize("name", PACKAGES)
def test_what_a_package_lists_it_has(name: str) -> None:
    package = importlib.import_module(name)
    listed = getattr(package, "__all__", [])
    assert [n for n in listed if not hasattr(package, n)] == []
    told = (getattr(package, n) for n in listed)
    # What a backend provides is told once, by pyedge.ops.Ops.
    dumb = [x for x in told if inspect.isroutine(x) and not x.__doc__ and not name.startswith("pyedge.ops")]
    assert dumb == []


def test_every_error_is_one_class_in_one_place() -> None:
    for module in pkgutil.walk_packages(pyedge.__path__, "pyedge."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    kinds: list[type] = [errors.PyEdgeError]
    for kind in kinds:
        kinds += (k for k in kind.__subclasses__() if k not in kinds)
    elsewhere = {k.__name__ for k in kinds if getattr(errors, k.__name__, None) is not k}
    assert elsewhere == {kind.__name__ for kind in runtime.ERRORS.values()}
    assert all(kind.__doc__ or kind.__name__ in elsewhere for kind in kinds)


def test_importing_the_package_reads_nothing_else() -> None:
    code = "import sys, pyedge; print([m for m in sys.modules if m.startswith(('numpy', 'pyedge.'))])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_package_runs_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "pyedge", "--version"], capture_output=True, text=True)
    assert done.stdout.strip() == pyedge.__version__
