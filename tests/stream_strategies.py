"""Hypothesis strategies for encoders, models behind an encoder, and recordings; extremes among them."""

import numpy as np
from hypothesis import strategies as st

from pyedge import encode
from pyedge.encode import EncoderConfig
from pyedge.quant.model import InputKind, IntegerLayer, IntegerModel, NeuronKind

SEEDS = st.integers(0, 2**32 - 1)
BYTE = st.integers(-128, 127)


@st.composite
def encoders(draw: st.DrawFn, classes: int, kinds: tuple[str, ...] = encode.KINDS) -> EncoderConfig:
    kind = draw(st.sampled_from(kinds))
    log, levels = "log" in kind, kind == "log_spikes"
    channels = draw(st.integers(1, 9) | st.sampled_from([1, 2, 8, 64]))
    centre = draw(st.sampled_from([st.integers(-32768, 32767), st.integers(0, 2000)]))
    profile = draw(st.booleans())
    bytes_ = st.lists(BYTE, min_size=channels, max_size=channels).map(tuple)
    return EncoderConfig(
        kind=kind,
        channels=channels,
        hop=draw(st.integers(1, 12) | st.sampled_from([1, 256]) if channels < 10 else st.integers(1, 3)),
        hops=draw(st.integers(1, 32)) if log else 1,
        shift=draw(st.integers(0, 8) | st.integers(0, 15)),
        mode=draw(st.sampled_from(encode.MODES)) if kind == "difference" else "any",
        levels=draw(st.integers(2, 16)) if levels else 0,
        level_low=draw(BYTE) if levels else 0,
        level_width=draw(st.integers(0, 7)) if levels else 0,
        threshold=draw(st.integers(1, 127)) if kind in ("difference", "delta") else 0,
        centre0=draw(centre) if log else 0,
        centre1=draw(centre) if log else 0,
        stride=draw(st.integers(1, 6) | st.integers(1, 20)),
        span=draw(st.integers(0, 5) | st.sampled_from([64])),
        penalty=draw(st.integers(0, 255)),
        gain_limit=draw(st.integers(0, 127)),
        rotation=draw(st.sampled_from([0, 0, 1, -128, 127]) | BYTE),
        gains=draw(bytes_) if draw(st.booleans()) else (),
        profile=tuple(draw(bytes_) for _ in range(classes)) if profile else (),
    )


@st.composite
def encoder_models(draw: st.DrawFn, longest: int = 8, learns: bool = False) -> IntegerModel:
    """A linear readout with random weights over an encoder: inputs that differ give scores that differ."""
    classes = draw(st.integers(2, 6))
    encoder = draw(encoders(classes))
    rng = np.random.default_rng(draw(SEEDS))
    zero = np.zeros(classes)
    weights = rng.integers(-128, 128, (encoder.inputs, classes))
    carry = learns and draw(st.booleans())
    readout = IntegerLayer(
        NeuronKind.LINEAR,
        weights,
        zero,
        zero,
        zero,
        learns=learns,
        carry=carry,
        rate_shift=-2 if learns else 0,
    )
    return IntegerModel(
        draw(st.integers(1, longest)),
        InputKind.SPIKES if encoder.spikes else InputKind.FRAMES,
        (readout,),
        score_mult=draw(st.integers(1, 65535)),
        score_shift=draw(st.integers(10, 24)),
        seed=0,
        encoder=encoder,
    )


@st.composite
def recordings(draw: st.DrawFn, model: IntegerModel, windows: int = 3) -> np.ndarray:
    """Samples for a few windows and a rest; int16 at its ends, silence, and in between."""
    e = model.encoder
    most = e.hop * (model.window + windows * e.stride) + e.hop + 1
    rng = np.random.default_rng(draw(SEEDS))
    n = min(draw(st.integers(0, most) | st.just(most)), 4000)
    style = draw(st.sampled_from(["noise", "noise", "ends", "low", "zero", "steps"]))
    if style == "ends":
        return rng.choice([-32768, 32767], (n, e.channels)).astype(np.int16)
    if style == "low":
        return np.full((n, e.channels), -32768, np.int16)
    if style == "steps":
        return np.repeat(rng.integers(-300, 300, (n // 3 + 1, e.channels)), 3, 0)[:n].astype(np.int16)
    scale = 0 if style == "zero" else draw(st.sampled_from([1, 10, 127, 3000, 32767]))
    return rng.integers(-scale, scale + 1, (n, e.channels)).astype(np.int16)
