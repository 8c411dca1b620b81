"""Other people's formats: what leaves pyedge, and what comes in."""
