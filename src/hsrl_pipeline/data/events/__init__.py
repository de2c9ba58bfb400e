"""Events of a log: which rows are good, and the partitions they are kept in."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.data.events.checks import CheckedEvents as CheckedEvents
    from hsrl_pipeline.data.events.checks import check_events as check_events
    from hsrl_pipeline.data.events.store import EventManifest as EventManifest
    from hsrl_pipeline.data.events.store import load_manifest as load_manifest
    from hsrl_pipeline.data.events.store import scan_events as scan_events
    from hsrl_pipeline.data.events.store import stage_events as stage_events
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".checks": ["CheckedEvents", "check_events"],
            ".store": ["EventManifest", "load_manifest", "scan_events", "stage_events"],
        },
    )
