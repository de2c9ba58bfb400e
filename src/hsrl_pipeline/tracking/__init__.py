"""MLflow, and nothing else of the project touches it: store, run, live metrics, frames of runs."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.tracking.frames import curves_frame as curves_frame
    from hsrl_pipeline.tracking.frames import runs_frame as runs_frame
    from hsrl_pipeline.tracking.metric_stream import MetricStream as MetricStream
    from hsrl_pipeline.tracking.metric_stream import MetricStreamDataset as MetricStreamDataset
    from hsrl_pipeline.tracking.outbox import send_kept_runs as send_kept_runs
    from hsrl_pipeline.tracking.run import TrackedRun as TrackedRun
    from hsrl_pipeline.tracking.run import active_run as active_run
    from hsrl_pipeline.tracking.store import open_client as open_client
    from hsrl_pipeline.tracking.store import tracking_uri as tracking_uri
    from hsrl_pipeline.tracking.trial_frames import references_frame as references_frame
    from hsrl_pipeline.tracking.trial_frames import trials_frame as trials_frame
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".frames": ["curves_frame", "runs_frame"],
            ".metric_stream": ["MetricStream", "MetricStreamDataset"],
            ".outbox": ["send_kept_runs"],
            ".run": ["TrackedRun", "active_run"],
            ".store": ["open_client", "tracking_uri"],
            ".trial_frames": ["references_frame", "trials_frame"],
        },
    )
