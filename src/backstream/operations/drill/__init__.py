"""`drill`: a restore test. A moment is restored into a scratch table and compared, and what it took is measured and kept."""

from backstream.operations.drill.report import PATIENCE, SAMPLE, Difference, Drill, DrillDifference, DrillPlan, Live, Pick, Side
from backstream.operations.drill.run import drill

__all__ = ["PATIENCE", "SAMPLE", "Difference", "Drill", "DrillDifference", "DrillPlan", "Live", "Pick", "Side", "drill"]
