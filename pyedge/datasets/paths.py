"""Where data sets live on this machine: the one place that knows."""

import os
from pathlib import Path

from ..errors import MissingDataError

ENVIRONMENT_VARIABLE = "PYEDGE_DATA"
EMBEDDED = Path(__file__).resolve().parent.parent / "data"


def data_root() -> Path:
    """Folder that holds one folder per data set.

    $PYEDGE_DATA if set, else `shared/data` in the checkout or beside it.
    Raises MissingDataError if there is none: the embedded set needs no folder.
    """
    stated = os.environ.get(ENVIRONMENT_VARIABLE)
    if stated:
        root = Path(stated)
        if root.is_dir():
            return root
        raise MissingDataError(
            f"${ENVIRONMENT_VARIABLE} is {stated!r}, which is not a folder; "
            "set it to the folder that holds myo_wrist/, myo_fingers/, ..."
        )
    checkout = Path(__file__).resolve().parents[2]
    for root in (checkout / "shared" / "data", checkout.parent / "shared" / "data"):
        if root.is_dir():
            return root
    raise MissingDataError(
        f"no data: set ${ENVIRONMENT_VARIABLE} to the folder that holds myo_wrist/, myo_fingers/, ..., "
        'or use the embedded set, load("myo_wrist_embedded"), which needs none'
    )
