"""Build the compiled kernels; everything else is declared in pyproject.toml.

MIA_TRACE=1     line tracing and bounds checks, for coverage and debugging
MIA_ANNOTATE=1  write the annotated HTML of each module under build/
"""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

MODULES = (
    "bars",
    "battle_navale",
    "black",
    "book_imbalance",
    "confluence",
    "cvd",
    "es_patterns",
    "evidence",
    "feature_score",
    "footprint",
    "hedge_flow",
    "large_trades",
    "levels",
    "market_state",
    "matching",
    "options_state",
    "order_flow",
    "orders",
    "patterns",
    "profile",
    "records",
    "references",
    "regime",
    "scid",
    "session_levels",
    "setups",
    "statistics",
    "synth",
    "tick_buffer",
    "timeframes",
    "touches",
    "trees",
    "vwap",
)

TRACE = os.environ.get("MIA_TRACE") == "1"
ANNOTATE = os.environ.get("MIA_ANNOTATE") == "1"

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": TRACE,
    "wraparound": False,
    "initializedcheck": TRACE,
    "cdivision": True,
    "auto_pickle": False,
    "autotestdict": False,
    "freethreading_compatible": True,
    "linetrace": TRACE,
    "warn.maybe_uninitialized": True,
    "warn.unused": True,
}

MACROS = [("CYTHON_TRACE_NOGIL", "1"), ("CYTHON_USE_SYS_MONITORING", "0")]

if sys.platform == "win32":
    FLAGS = ["/O2", "/fp:precise"]
else:
    FLAGS = ["-O3", "-ffp-contract=off", "-fno-strict-overflow"]

OPTIONS = {
    "define_macros": MACROS if TRACE else [],
    "extra_compile_args": [] if TRACE else FLAGS,
}

extensions = [
    Extension(f"mia._fast.{name}", [f"mia/_fast/{name}.pyx"], **OPTIONS) for name in MODULES
]
extensions.append(Extension("mia._fast._cyutility", ["mia/_fast/_cyutility.c"], **OPTIONS))

setup(
    ext_modules=cythonize(
        extensions,
        compiler_directives=DIRECTIVES,
        shared_utility_qualified_name="mia._fast._cyutility",
        annotate=ANNOTATE,
        # The coverage plugin wants the C files beside their sources.
        build_dir=None if TRACE else "build/cython",
    ),
    options={"build_ext": {"parallel": os.cpu_count()}},
)
