"""Every limit on what we cost, in one table: those on what is counted are the gate, those on times are not.

A gate stands a little above what is true today, so that nothing grows unseen; the goal is where it is to come down to.
Both are upper bounds. Whoever brings a figure down brings its gate down with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Limit:
    """What a counted figure may be.

    Args:
        gate: More than this fails the benchmark.
        goal: Where it is to come down to; the gate itself where there is nothing further to gain.
        unit: Of both.
    """

    gate: float
    goal: float
    unit: str = ""


COUNTED: Final[dict[str, Limit]] = {
    # Functions of this package that one call enters.
    "functions entered: a run, answered": Limit(335, 170),
    "functions entered: a run, 429": Limit(570, 270),
    "functions entered: a run, stream": Limit(445, 230),
    "functions entered: one call, answered": Limit(230, 120),
    "functions entered: one call, 429": Limit(820, 200),
    "functions entered: one call, stream": Limit(365, 170),
    "functions entered: a call by wire, answered": Limit(645, 300),
    "functions entered: an inferred run of two": Limit(1660, 700),
    # Bytecode instructions beyond the bare SDK's.
    "instructions: a run / by hand, answered": Limit(1.5, 1.3, "x"),
    "instructions: a run / by hand, 429": Limit(1.85, 1.5, "x"),
    "instructions: a run / by hand, stream": Limit(1.7, 1.4, "x"),
    "instructions: one call / genai-openai's, answered": Limit(0.85, 0.7, "x"),
    "instructions: one call / genai-openai's, 429": Limit(3.45, 1.0, "x"),
    "instructions: one call / genai-openai's, stream": Limit(0.3, 0.3, "x"),
    "instructions: sampled out / recorded, answered": Limit(0.6, 0.5, "x"),
    "instructions: sampled out / recorded, 429": Limit(0.65, 0.55, "x"),
    "instructions: no SDK / recorded, answered": Limit(0.5, 0.45, "x"),
    "instructions: no SDK / recorded, 429": Limit(0.57, 0.5, "x"),
    "instructions: a mismatch above an honest one / a run by hand": Limit(2.4, 1.0, "x"),
    "instructions: a foreign span outside": Limit(160, 120),
    "instructions: a foreign span inside an attempt": Limit(860, 400),
    "instructions: a stream, per chunk / the bare SDK's": Limit(0.02, 0.02, "x"),
    "instructions: one more attempt in a chain of 180 / of 2": Limit(1.05, 1.05, "x"),
    "instructions: one more bare call in a chain of 180 / of 2": Limit(1.05, 1.05, "x"),
    "instructions: a run while 300 others are open / alone": Limit(1.1, 1.05, "x"),
    # Objects that only the cycle collector frees, by kind of run.
    "cyclic objects: answered": Limit(0, 0),
    "cyclic objects: 429": Limit(0, 0),
    "cyclic objects: stream": Limit(0, 0),
    "cyclic objects: stream, abandoned": Limit(2, 0),
    "cyclic objects: stream that outlives its run": Limit(0, 0),
    "cyclic objects: bare call, answered": Limit(0, 0),
    "cyclic objects: bare call, 429": Limit(0, 0),
    "cyclic objects: call outside a run, answered": Limit(0, 0),
    "cyclic objects: call outside a run, 429": Limit(0, 0),
    "cyclic objects: call by wire": Limit(0, 0),
    "cyclic objects: inferred run": Limit(0, 0),
    "cyclic objects: two failures": Limit(0, 0),
    "cyclic objects: mismatch": Limit(0, 0),
    "cyclic objects: sampled out, 429": Limit(0, 0),
    "cyclic objects: no SDK, 429": Limit(0, 0),
    "cyclic objects: pydantic-ai, two refused": Limit(270, 0),
    # Memory, as Python counts it.
    "memory of an open request": Limit(19, 16, "KB"),
    # Starts.
    "instructions: our import": Limit(265_000, 240_000),
    "modules imported: our import": Limit(68, 68),
    "SDKs imported: our import": Limit(0, 0),
    "instructions: otel-failover --help": Limit(4_100_000, 3_900_000),
    "modules imported: otel-failover --help": Limit(420, 410),
}

TIMED: Final[dict[str, tuple[float, str]]] = {
    "a run / by hand, answered": (1.3, "x"),
    "a run / by hand, 429": (1.5, "x"),
    "a run / by hand, stream": (1.4, "x"),
    "one call / genai-openai's, answered": (0.7, "x"),
    "one call / genai-openai's, 429": (1.0, "x"),
    "one call / genai-openai's, stream": (0.4, "x"),
    "sampled out / recorded, answered": (0.6, "x"),
    "sampled out / recorded, 429": (0.6, "x"),
    "no SDK / recorded, answered": (0.6, "x"),
    "no SDK / recorded, 429": (0.6, "x"),
    "a mismatch, above an honest one": (200, "µs"),
    "a foreign span outside": (1.5, "µs"),
    "a foreign span inside an attempt": (8, "µs"),
    "a stream, per chunk": (2, "µs"),
    "an attempt in the longest chain / in the shortest": (1.15, "x"),
    "a run beside many open requests / alone": (1.15, "x"),
    "a foreign span beside many open requests / alone": (1.15, "x"),
    "a call in many tasks at once, added / added alone": (1.5, "x"),
    "a call in 16 threads, added / added in one": (1.15, "x"),
    "memory kept per run": (100, "B"),
    "our import, beyond OpenTelemetry's": (15, "ms"),
    "otel-failover --help": (300, "ms"),
}
"""What times are to be: shown beside what was measured, and never a reason to fail."""
