"""WHAT TO SHOW: one page for a run, one for several. Plots, templates and comparisons of texts; no torch."""

from lorasdk.report.comparison import Comparison, compare_runs, comparison_page, read_comparison
from lorasdk.report.document import read_report
from lorasdk.report.finding import report_home
from lorasdk.report.writing import ReportFiles, rebuild_report, write_report

__all__ = [
    "Comparison",
    "ReportFiles",
    "compare_runs",
    "comparison_page",
    "read_comparison",
    "read_report",
    "rebuild_report",
    "report_home",
    "write_report",
]
