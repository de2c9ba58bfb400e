"""Many sessions at once on tensors: the environment that learners act in."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.seeding import torch_generator
from hsrl_pipeline.simulator.click_draws import draw_clicks, refuse_no_probability
from hsrl_pipeline.simulator.event_histories import drop_unpublished
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse
from hsrl_pipeline.simulator.response.protocol import Response, refuse_training_mode
from hsrl_pipeline.simulator.response.recorded import with_user_numbers
from hsrl_pipeline.simulator.running_sessions import RunningSessions
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.user_pool import UserPool

RANDOM_STREAM = "simulator.sessions"


class StepResult(NamedTuple):
    """Outcome of one step of all sessions.

    Attributes:
        observation: What to act on next; finished rows already belong to a new user.
        next_observation: What the step led to: the same user in every row, for finished rows that
            user's own last observation (``final_obs``).
        reward: (batch,) float32. Slate reward.
        clicks: (batch, slate) float32. 1.0 where the item was clicked.
        terminated: (batch,) bool. The user left.
        truncated: (batch,) bool. The horizon cut the session off.
        probabilities: (batch, slate) float32. What the clicks were drawn from; nothing that a
            real recommender would know.
        disagreement: (batch, slate) float32. Standard deviation of the members' click
            probabilities; None unless the sessions measure it.
    """

    observation: Observation
    next_observation: Observation
    reward: torch.Tensor
    clicks: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor
    probabilities: torch.Tensor
    disagreement: torch.Tensor | None = None


class SlateSessions:
    """A batch of simulated sessions; a finished one is replaced in the same step.

    All randomness (which user comes next, which items are clicked) comes from one generator of
    its own, so equal seeds and equal slates give equal sessions. Tensors that were handed out are
    never written to again.

    Args:
        response: Gives click probabilities, in evaluation mode.
        pool: Users that sessions start with.
        setting: Rules, sizes and device of the sessions.
        batch_size: Number of parallel sessions.
        seed: Seed of the random stream.
        measure_disagreement: Tell how far the members of the response model disagree on what was
            shown; the sessions themselves stay the same.

    Raises:
        UserError: The candidate rules cannot be met with these items.
        ValueError: The pool's histories are of another size or form than the session's or hold an
            unknown item, or the response model is in training mode or has no members that could
            disagree.
    """

    def __init__(
        self,
        response: Response,
        pool: UserPool,
        setting: SessionSetting,
        *,
        batch_size: int,
        seed: int,
        measure_disagreement: bool = False,
    ) -> None:
        pool.check_history(setting.session)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        refuse_training_mode(response)
        pool.check_items(setting.n_items)
        self.batch_size = batch_size
        self.setting = setting
        self.slate_size = setting.slate_size
        self.n_items = setting.n_items
        self.device = setting.device
        self.rules = setting.session_rules()
        self._candidates = setting.candidate_rules(pool.n_seen)
        self._response = response
        self._members: EnsembleResponse | None = None
        if measure_disagreement:
            if not isinstance(response, EnsembleResponse):
                raise ValueError("the response model has no members that could disagree")
            self._members = response
        self._all_known = self._pool = pool.to(self.device)
        self._catalogue_version: str | None = None
        self._generator = torch_generator(seed, RANDOM_STREAM, str(self.device))
        self._running = self._start(batch_size)

    @property
    def catalogue_version(self) -> str | None:
        """Version of the catalogue that was set last; None while all items may be shown."""
        return self._catalogue_version

    def set_catalogue(self, catalogue: LiveCatalogue) -> None:
        """Let sessions go on, and new ones start, under a version of the catalogue.

        Slates may hold live items alone. Items that were never published leave the histories that
        policies see; simulated users still go by theirs.

        Args:
            catalogue: Rows for all items of the sessions.

        Raises:
            UserError: Too few live items for a session; nothing changes.
            ValueError: The catalogue has another number of items.
        """
        self._candidates.set_live(catalogue.live)
        published = torch.from_numpy(catalogue.published).to(self.device)
        if not bool(published[1:].all()) or self._pool is not self._all_known:
            self._pool = self._all_known.telling(published)
            state = self._running.state
            history, responses = drop_unpublished(
                state.observation.history, state.observation.responses, published
            )
            told = state.observation._replace(history=history, responses=responses)
            own = state.simulator_view.history
            self._running = self._running._replace(
                state=state._replace(observation=told, clicked=own)
            )
        self._catalogue_version = catalogue.version

    @property
    def observation(self) -> Observation:
        """What to act on now."""
        return self._running.state.observation

    @property
    def measures_disagreement(self) -> bool:
        """Whether steps tell how far the members of the response model disagree."""
        return self._members is not None

    @property
    def patience(self) -> torch.Tensor:
        """(batch,) float64. Patience left in each session; policies do not see it."""
        return self._running.state.patience

    @property
    def users(self) -> torch.Tensor:
        """(batch,) int64. User index of each session; policies do not see it."""
        return self._running.users

    def reset(self, seed: int | None = None) -> Observation:
        """Start all sessions anew.

        Args:
            seed: Restarts the random stream; without it the stream goes on.

        Returns:
            The first observation of each session.
        """
        if seed is not None:
            self._generator = torch_generator(seed, RANDOM_STREAM, str(self.device))
        self._running = self._start(self.batch_size)
        return self._running.state.observation

    @torch.no_grad()
    def step(self, slates: torch.Tensor) -> StepResult:
        """Show a slate in every session and draw the feedback.

        Args:
            slates: (batch, slate) int64. Distinct items in ``[1, n_items]``.

        Returns:
            The outcome; finished sessions have been replaced in ``observation``.

        Raises:
            ValueError: A slate breaks a rule, or the response model gave no probability; names
                row and slot.
        """
        state = self._running.state
        self._candidates.check(slates, state.observation.shown)
        probabilities, disagreement = self._ask(state.simulator_view, slates)
        draws = torch.rand(slates.shape, generator=self._generator, device=self.device)
        clicks = draw_clicks(probabilities, draws)
        after, reward, terminated, truncated = self.rules.advance(state, slates, clicks)
        self._running = self._running._replace(state=after)
        finished = (terminated | truncated).nonzero().squeeze(1)
        if len(finished):
            self._running = self._running.with_new(finished, self._start(len(finished)))
        return StepResult(
            self._running.state.observation,
            after.observation,
            reward.to(torch.float32),
            clicks,
            terminated,
            truncated,
            probabilities,
            disagreement,
        )

    @torch.no_grad()
    def judge(self, slates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return click probabilities of slates that are not shown; sessions stay where they are.

        Nothing that a real recommender could ask its users.

        Args:
            slates: (other, batch, slate) int64. For each session as many as wanted, each valid.

        Returns:
            probabilities: (other, batch, slate) float32 in [0, 1].
            disagreement: (other, batch, slate) float32, None unless the sessions measure it.

        Raises:
            ValueError: A slate breaks a rule, or the response model gave no probability; names
                row and slot.
        """
        judged, deviations = [], []
        state = self._running.state
        for one in slates:
            self._candidates.check(one, state.observation.shown)
            probabilities, disagreement = self._ask(state.simulator_view, one)
            refuse_no_probability(probabilities)
            judged.append(probabilities)
            if disagreement is not None:
                deviations.append(disagreement)
        return torch.stack(judged), torch.stack(deviations) if deviations else None

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to continue bit-identically."""
        state = {**self._running.to_dict(), "generator": self._generator.get_state()}
        if self._pool.numbers is None:
            del state["numbers"]  # they are the user indices
        if self._catalogue_version is not None:
            state["catalogue_version"] = self._catalogue_version
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned, on this environment's device.

        Raises:
            ValueError: The state is of another version of the catalogue than the one set.
        """
        kept = state.get("catalogue_version")
        if kept != self._catalogue_version:
            raise ValueError(
                f"the sessions are of catalogue version {kept}, {self._catalogue_version} is set"
            )
        self._running = RunningSessions.from_dict(state, self.device)
        if self._running.state.clicked.shape[1] and not self._pool.parts_views:
            # an earlier version of the catalogue had unknown items, and views stay apart
            everything = torch.ones(self.n_items + 1, dtype=torch.bool, device=self.device)
            self._pool = self._all_known.telling(everything)
        self._generator.set_state(state["generator"])

    def __getstate__(self) -> dict[str, Any]:
        attributes = self.__dict__.copy()
        attributes["_generator"] = self._generator.get_state()
        return attributes

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        generator = torch.Generator(device=attributes["device"])
        generator.set_state(attributes["_generator"])
        self.__dict__.update(attributes, _generator=generator)

    def _ask(
        self, observation: Observation, slates: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return click probabilities, and the disagreement on them where it is measured."""
        if getattr(self._response, "identified", False):
            observation = with_user_numbers(observation, self._running.numbers)
        if self._members is not None:
            return self._members.answers(observation, slates)
        return self._response.probabilities(observation, slates), None

    def _start(self, count: int) -> RunningSessions:
        """Return new sessions of users drawn from the pool."""
        rows = torch.randint(
            len(self._pool), (count,), generator=self._generator, device=self.device
        )
        return RunningSessions.start(self.rules, self._pool, rows)
