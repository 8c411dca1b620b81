"""pyedge: spiking networks that keep learning on a microcontroller.

`help(pyedge.trainer)` and the like tell more; README.md, docs/ and examples/ show them at work.

    datasets, calibrate, encode, augment          recordings, images and events to a network's inputs
    model, layers, neuron, architectures, methods, fold, rate_init
                                                  networks: what they are made of, and the paper's
    trainer, classifier                           training: `fit`, or the scikit-learn-like `Classifier`
    losses, rules, optim, ops                     its parts; `ops` are the backends
    recipe, task, vision                          whole trainings from a TOML file
    diagnostics, evaluation, predict, plots, baselines
                                                  what came of them
    quant, vision_integers, image, plan, c_array  integers, and the file that a board takes
    runtime, runtime_stream                       the C runtime in this process
    link, boards                                  a board at a port; emulated boards, and what they cost
    adapt, wearer, align                          learning a wearer's new session, anywhere
    interop                                       ONNX
    errors, checkpoint, files                     every named error; what lies on disk
"""

from importlib import import_module
from typing import Any

MODULES = (
    "adapt", "align", "architectures", "augment", "baselines", "boards", "c_array", "calibrate", "checkpoint",
    "classifier", "datasets", "diagnostics", "encode", "errors", "evaluation", "files", "fold", "image",
    "interop", "layers", "link", "losses", "methods", "model", "neuron", "ops", "optim", "plan", "plots",
    "predict", "quant", "rate_init", "recipe", "rules", "runtime", "runtime_stream", "task", "trainer",
    "vision", "vision_integers", "wearer",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in MODULES:  # read when they are wanted: `import pyedge` alone costs nothing
        return import_module(f"pyedge.{name}")
    if name == "__version__":
        from importlib.metadata import version  # some megabytes, seldom wanted

        return version("pyedge")
    raise AttributeError(f"module 'pyedge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *MODULES, "__version__"})
