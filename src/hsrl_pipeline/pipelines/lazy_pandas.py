"""What nodes are annotated with; pandas loads when Kedro reads the annotations (ADR 0002)."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from pandas import DataFrame as DataFrame  # noqa: PLC0414  it is offered to others
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__, {"pandas": ["DataFrame"]})
