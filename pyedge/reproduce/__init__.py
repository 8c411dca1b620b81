"""The paper's results, measured again: every table and figure as a study of resumable stages."""

from importlib import import_module

from pyedge.errors import ConfigError
from pyedge.reproduce.study import Study

NAMES = ("table1", "table3", "fig4", "fig5", "fig7", "emg")
_MODULES = {
    "table1": "table1",
    "table3": "activity",
    "fig4": "ablations",
    "fig5": "ablations",
    "fig7": "activity",
    "emg": "emg",
}


def study(name: str) -> Study:
    """The study of that name. Raises ConfigError for a name that is not in NAMES."""
    if name not in NAMES:
        raise ConfigError(f"nothing is called {name!r}; there are {', '.join(NAMES)}")
    found = import_module(f"pyedge.reproduce.{_MODULES[name]}").STUDIES[name]
    assert isinstance(found, Study)
    return found
