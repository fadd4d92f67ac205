"""What a run says about itself: a page to read, a record to compute with."""

from nalr.reporting.build import report
from nalr.reporting.record import Remark, Report

__all__ = ["Remark", "Report", "report"]
