"""The training loop: it knows agents by their protocol alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pandas as pd
import torch

from hsrl_pipeline.agents.base import Agent, LogBatch
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.config.training import TrainingConfig
from hsrl_pipeline.progress import Progress
from hsrl_pipeline.seeding import derive_seed
from hsrl_pipeline.simulator.slate_env import SlateSessions
from hsrl_pipeline.training.checkpoint_store import CheckpointStore
from hsrl_pipeline.training.collapse import CollapseMonitor
from hsrl_pipeline.training.collector import Collector
from hsrl_pipeline.training.curves import Curves
from hsrl_pipeline.training.divergence import DivergenceCheck
from hsrl_pipeline.training.early_stopping import EarlyStopping
from hsrl_pipeline.training.log_sampler import LogSampler
from hsrl_pipeline.training.run_identity import check_same_run, run_identity
from hsrl_pipeline.training.side_thread import SideThread

logger = logging.getLogger(__name__)

MetricStream = Callable[[int, Mapping[str, float]], None]
Watch = Callable[[int, Agent], None]


class Trainer:
    """Trains one agent; its whole state can be saved and restored bit for bit.

    Args:
        agent: The learner.
        config: Length and batch sizes.
        seed: Seed of the run.
        device: Where agent and sessions live.
        sessions: Training environment; not needed by agents that learn from the log alone.
        log: Logged slates; needed by agents that use them.
        stopping: Ends training early; without it, all iterations are done.
        identity: Further JSON-able facts that a resumed run must share with the interrupted one.
        catalogues: Versions of a moving catalogue by the number of updates done when each is set;
            0 is the launch. Without any, the catalogue stays as agent and sessions know it.
        watch: Called with the agent after the numbers of updates in ``watch_at``, before a change
            that comes then. An agent that has stopped early is shown for all later numbers.
        watch_at: Numbers of updates.

    Raises:
        ValueError: The agent needs sessions or a log that was not given.
    """

    def __init__(
        self,
        agent: Agent,
        config: TrainingConfig,
        *,
        seed: int,
        device: torch.device,
        sessions: SlateSessions | None = None,
        log: LogSampler | None = None,
        stopping: EarlyStopping | None = None,
        identity: Mapping[str, Any] | None = None,
        catalogues: Mapping[int, LiveCatalogue] | None = None,
        watch: Watch | None = None,
        watch_at: Collection[int] = (),
    ) -> None:
        interacts = agent.experience != "log"
        if interacts and sessions is None:
            raise ValueError(f"agent {agent.name} learns from sessions, none were given")
        reads_log = _reads_log(agent)
        if reads_log and log is None:
            raise ValueError(f"agent {agent.name} learns from logged slates, none were given")
        self._agent = agent
        self._config = config
        self._device = device
        self._log = log if reads_log else None
        self._stopping = stopping
        self._sessions = sessions if interacts else None
        self._catalogues = dict(sorted((catalogues or {}).items()))
        self._watch, self._watch_at = watch, frozenset(watch_at)
        self._collector: Collector | None = None
        self._collapse: CollapseMonitor | None = None
        if interacts and sessions is not None:
            fresh = agent.experience == "fresh"
            self._collector = Collector(
                agent,
                sessions,
                batch_size=config.fresh_batch_size if fresh else config.batch_size,
                buffer_size=config.buffer_size,
                expected_feedback=config.feedback == "expected",
                return_steps=config.return_steps,
                return_decay=config.return_decay,
                disagreement_penalty=config.disagreement_penalty,
                seed=seed,
                device=device,
            )
            self._collapse = CollapseMonitor(agent.name, sessions.slate_size, config.collapse_items)
        self._curves = Curves()
        self._divergence = DivergenceCheck(agent, self._curves, config.metrics_every)
        self._iteration = 0
        self._identity = run_identity(identity or {}, agent.name, config, seed)
        self._dropout_seed = derive_seed(seed, "training.dropout")

    def run(
        self, on_metrics: MetricStream | None = None, checkpoints: CheckpointStore | None = None
    ) -> pd.DataFrame:
        """Train until ``n_iterations`` or an early stop, resuming when the configuration says so.

        The agent is trained when this returns; torch's global random state is as it was before.

        Args:
            on_metrics: Called with each point of the training curves as soon as it is there.
            checkpoints: Keeps the state from time to time and at the end; without it nothing can
                be resumed.

        Returns:
            The training curves: ``iteration`` int64 and float64 figures.

        Raises:
            UserError: A loss or a weight is not a finite number any more, or the checkpoint does
                not fit the settings.
        """
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(self._dropout_seed)
            self._resume(checkpoints)
            self._iterate(on_metrics, checkpoints)
        return self._curves.history()

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to continue bit-identically."""
        return {
            "identity": self._identity_after(self._iteration),
            "iteration": self._iteration,
            "collapsed": self._collapse is not None and self._collapse.collapsed,
            "agent": self._agent.state_dict(),
            "collector": None if self._collector is None else self._collector.state_dict(),
            "log": None if self._log is None else self._log.state_dict(),
            "stopping": None if self._stopping is None else self._stopping.state_dict(),
            "curves": self._curves.state_dict(),
            "torch_random_state": torch.random.get_rng_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            UserError: The state belongs to a run with other settings, which are named, or to
                another version.
        """
        iteration = int(state["iteration"])
        check_same_run(state["identity"], self._identity_after(iteration))
        self._iteration = iteration
        versions = self._versions_before(iteration)
        if versions:
            self._set_catalogue(versions[max(versions)])
        if self._collapse is not None:
            self._collapse.collapsed = bool(state["collapsed"])
        self._agent.load_state_dict(state["agent"])
        if self._collector is not None:
            self._collector.load_state_dict(state["collector"], self._agent)
        if self._log is not None:
            self._log.load_state_dict(state["log"])
        if self._stopping is not None:
            self._stopping.load_state_dict(state["stopping"])
        self._curves.load_state_dict(state["curves"], self._device)
        torch.random.set_rng_state(state["torch_random_state"])

    def _versions_before(self, iteration: int) -> dict[int, LiveCatalogue]:
        """Return the versions that were set in the first updates, by their number."""
        return {at: version for at, version in self._catalogues.items() if at < iteration}

    def _identity_after(self, iteration: int) -> dict[str, Any]:
        """Return what decides the state after so many updates: later changes do not."""
        versions = {
            str(at): version.version for at, version in self._versions_before(iteration).items()
        }
        return {**self._identity, "catalogues": versions} if versions else self._identity

    def _set_catalogue(self, catalogue: LiveCatalogue) -> None:
        """Bring all parts to a version of the catalogue; nothing is in flight."""
        if self._sessions is not None:
            self._sessions.set_catalogue(catalogue)
        self._agent.set_catalogue(catalogue)
        if self._collector is not None:
            self._collector.renew_twin(self._agent)
        if self._stopping is not None:
            self._stopping.start_over()

    @property
    def _finished(self) -> bool:
        return self._stopping is not None and self._stopping.finished

    def _resume(self, checkpoints: CheckpointStore | None) -> None:
        """Go on from the kept checkpoint, or forget that of an earlier run."""
        kept = checkpoints.load() if checkpoints is not None and self._config.resume else None
        if kept is not None:
            self.load_state_dict(kept)
        elif checkpoints is not None:
            # a checkpoint of an earlier run must not be taken for this one's
            checkpoints.discard()
        if self._config.resume:
            logger.info("Resuming %s from iteration %d", self._agent.name, self._iteration)

    def _iterate(
        self, on_metrics: MetricStream | None, checkpoints: CheckpointStore | None
    ) -> None:
        config = self._config
        total = config.n_iterations
        with (
            SideThread(self._device) as beside,
            Progress(f"Training {self._agent.name}", total=total) as progress,
        ):
            progress.start_at(self._iteration)
            while self._iteration < total and not self._finished:
                self._prepare()
                self._update(beside)
                self._iteration += 1
                if self._stopping is not None:
                    self._stopping.check(self._iteration)
                last = self._iteration == total or self._finished
                figures: dict[str, float] = {}
                if last or self._iteration % config.metrics_every == 0:
                    figures = self._record(on_metrics)
                if last or self._iteration % config.checkpoint_every == 0:
                    self._divergence.check_state(self._iteration)
                    if checkpoints is not None:
                        checkpoints.save(self.state_dict())
                progress.advance(1, **_shown_figures(figures))
        self._conclude()

    def _prepare(self) -> None:
        """Do what comes before the next update alone: a change of the catalogue, the warm-up."""
        self._show(self._iteration)
        if self._iteration in self._catalogues:
            self._set_catalogue(self._catalogues[self._iteration])
        if self._iteration == 0 and self._collector is not None:
            self._collector.warm_up(self._config.warmup_transitions)

    def _conclude(self) -> None:
        if self._stopping is not None:
            self._stopping.restore()
        # an agent that has stopped early takes the changes that are left without learning
        for at in sorted({*self._catalogues, *self._watch_at}):
            if at >= self._iteration:
                self._show(at)
                if at in self._catalogues and at < self._config.n_iterations:
                    self._agent.set_catalogue(self._catalogues[at])

    def _show(self, updates: int) -> None:
        if self._watch is not None and updates in self._watch_at:
            self._watch(updates, self._agent)

    def _update(self, beside: SideThread) -> None:
        config = self._config
        if config.final_learning_rate_share < 1.0:
            fallen = (1.0 - config.final_learning_rate_share) / config.n_iterations
            self._agent.scale_learning_rates(1.0 - fallen * self._iteration)
        log = self._logged_slates()
        if self._collector is None:
            self._curves.add(self._agent.update(None, log))
            return
        experience = self._collector.experience
        collecting = beside.start(self._collector.advance)
        self._curves.add(self._agent.update(experience.batch, log, experience.bootstrap))
        collecting.result()
        self._collector.sync_weights(self._agent)

    def _logged_slates(self) -> LogBatch | None:
        """Return what an update needs of the log, which may be nothing after a warm start."""
        if self._log is None or not _reads_log(self._agent):
            return None
        return self._log.sample(self._agent.log_batch_size)

    def _record(self, on_metrics: MetricStream | None) -> dict[str, float]:
        self._divergence.check_losses(self._iteration)
        figures = self._curves.read()
        if self._stopping is not None:
            figures |= self._stopping.read()
        if self._collector is not None and self._collapse is not None:
            figures |= self._collector.exposure.read()
            self._collapse.check(self._iteration, figures["effective_items"])
        self._curves.append(self._iteration, figures)
        if on_metrics is not None:
            on_metrics(self._iteration, figures)
        return figures


def _reads_log(agent: Agent) -> bool:
    """Whether the agent's next update needs logged slates."""
    return agent.uses_log or agent.experience == "log"


def _shown_figures(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the figures worth a place beside the progress bar."""
    names = {"train_reward": "reward", "train_depth": "depth", "effective_items": "items"}
    return {short: figures[name] for name, short in names.items() if name in figures}
