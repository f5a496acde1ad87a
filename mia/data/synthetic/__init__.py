"""A seeded market to test with: E-mini trades, quotes, books, planted patterns and faults."""

from mia.data.synthetic.faults import FaultPlan, RawColumns
from mia.data.synthetic.market import SyntheticMarket
from mia.data.synthetic.patterns import PatternKind, PatternPlan

__all__ = ["FaultPlan", "PatternKind", "PatternPlan", "RawColumns", "SyntheticMarket"]
