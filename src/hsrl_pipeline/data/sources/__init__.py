"""Readers of raw logs, one module per source, and what a reader hands over."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.data.sources.source_log import EventRules as EventRules
    from hsrl_pipeline.data.sources.source_log import ReadRequest as ReadRequest
    from hsrl_pipeline.data.sources.source_log import SlateRule as SlateRule
    from hsrl_pipeline.data.sources.source_log import SourceLog as SourceLog
    from hsrl_pipeline.data.sources.source_log import SplitRule as SplitRule
    from hsrl_pipeline.data.sources.source_log import get_reader as get_reader
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".source_log": [
                "EventRules",
                "ReadRequest",
                "SlateRule",
                "SourceLog",
                "SplitRule",
                "get_reader",
            ],
        },
    )
