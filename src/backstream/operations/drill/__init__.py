"""`drill`: a restore test. It restores a moment into a scratch table, compares it, and measures and keeps the result."""

from backstream.operations.drill.report import PATIENCE, SAMPLE, Difference, Drill, DrillDifference, DrillPlan, Live, Pick, Side
from backstream.operations.drill.run import drill

__all__ = ["PATIENCE", "SAMPLE", "Difference", "Drill", "DrillDifference", "DrillPlan", "Live", "Pick", "Side", "drill"]
