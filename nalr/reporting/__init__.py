"""The report of a run: a page to read, a record to compute with.

Loaded when first asked for: the controller needs the history and the summary alone.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nalr.reporting.build import report as report
    from nalr.reporting.record import Remark as Remark
    from nalr.reporting.record import Report as Report

__all__ = ["Remark", "Report", "report"]


def __getattr__(name: str) -> Any:
    """Load a public name from its home."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nalr.reporting import build, record

    return getattr(build if name == "report" else record, name)
