"""True sampling rates of the five-gesture set of Ceolini et al., where they differ from 200 Hz."""

NOMINAL_HZ = 200.0

# (person, session) -> Hz, as published beside the authors' own baseline (their table of corrections).
_MEASURED_HZ = {
    (6, 2): 197.0,
    (9, 2): 185.0,
    (11, 1): 174.0,
    (11, 2): 169.0,
    (11, 3): 173.0,
    (19, 1): 167.0,
    (19, 2): 173.0,
    (20, 1): 174.0,
    (20, 2): 176.0,
    (20, 3): 174.0,
}


def ceolini_rate_hz(subject: str, session: int) -> float:
    """Rate of one session; subject as 's11'."""
    return _MEASURED_HZ.get((int(subject[1:]), session), NOMINAL_HZ)
