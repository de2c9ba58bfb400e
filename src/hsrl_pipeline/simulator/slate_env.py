"""Many sessions at once on tensors: the environment that learners act in."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch

from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.seeding import torch_generator
from hsrl_pipeline.simulator.click_draws import draw_clicks, refuse_no_probability
from hsrl_pipeline.simulator.dynamics import SessionState
from hsrl_pipeline.simulator.event_histories import drop_unpublished
from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse
from hsrl_pipeline.simulator.response.recorded import with_user_numbers
from hsrl_pipeline.simulator.session_setting import SessionSetting
from hsrl_pipeline.simulator.user_pool import UserPool

RANDOM_STREAM = "simulator.sessions"


class Response(Protocol):
    """Anything that says how likely each item of a slate is to be clicked."""

    def probabilities(self, observation: Observation, slates: torch.Tensor) -> torch.Tensor:
        """Return (batch, slate) float32 click probabilities."""
        ...


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
        self._state, self._users, self._numbers = self._new_sessions(batch_size)

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
            observation, own = self._state.observation, self._state.simulator_view.history
            history, responses = drop_unpublished(
                observation.history, observation.responses, published
            )
            told = observation._replace(history=history, responses=responses)
            self._state = self._state._replace(observation=told, clicked=own)
        self._catalogue_version = catalogue.version

    @property
    def observation(self) -> Observation:
        """What to act on now."""
        return self._state.observation

    @property
    def measures_disagreement(self) -> bool:
        """Whether steps tell how far the members of the response model disagree."""
        return self._members is not None

    @property
    def patience(self) -> torch.Tensor:
        """(batch,) float64. Patience left in each session; policies do not see it."""
        return self._state.patience

    @property
    def users(self) -> torch.Tensor:
        """(batch,) int64. User index of each session; policies do not see it."""
        return self._users

    def reset(self, seed: int | None = None) -> Observation:
        """Start all sessions anew.

        Args:
            seed: Restarts the random stream; without it the stream goes on.

        Returns:
            The first observation of each session.
        """
        if seed is not None:
            self._generator = torch_generator(seed, RANDOM_STREAM, str(self.device))
        self._state, self._users, self._numbers = self._new_sessions(self.batch_size)
        return self._state.observation

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
        self._candidates.check(slates, self._state.observation.shown)
        probabilities, disagreement = self._ask(self._state.simulator_view, slates)
        draws = torch.rand(slates.shape, generator=self._generator, device=self.device)
        clicks = draw_clicks(probabilities, draws)
        after, reward, terminated, truncated = self.rules.advance(self._state, slates, clicks)
        self._state = after
        finished = (terminated | truncated).nonzero().squeeze(1)
        if len(finished):
            self._replace(finished)
        return StepResult(
            self._state.observation,
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
        for one in slates:
            self._candidates.check(one, self._state.observation.shown)
            probabilities, disagreement = self._ask(self._state.simulator_view, one)
            refuse_no_probability(probabilities)
            judged.append(probabilities)
            if disagreement is not None:
                deviations.append(disagreement)
        return torch.stack(judged), torch.stack(deviations) if deviations else None

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to continue bit-identically."""
        state = {
            "observation": tuple(self._state.observation),
            "patience": self._state.patience,
            "users": self._users,
            "generator": self._generator.get_state(),
        }
        if self._pool.numbers is not None:
            state["numbers"] = self._numbers
        if self._state.showings.numel():
            state["showings"] = self._state.showings
        if self._state.clicked.numel():
            state["clicked"] = self._state.clicked
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
        observation = Observation(*state["observation"]).to(self.device)
        unused = observation.history.new_zeros((len(state["users"]), 0))
        self._state = SessionState(
            observation,
            state["patience"].to(self.device),
            state.get("showings", unused).to(self.device),
            state.get("clicked", unused).to(self.device),
        )
        if self._state.clicked.shape[1] and not self._pool.parts_views:
            # an earlier version of the catalogue had unknown items, and views stay apart
            everything = torch.ones(self.n_items + 1, dtype=torch.bool, device=self.device)
            self._pool = self._all_known.telling(everything)
        self._users = state["users"].to(self.device)
        self._numbers = state.get("numbers", self._users).to(self.device)
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
            observation = with_user_numbers(observation, self._numbers)
        if self._members is not None:
            return self._members.answers(observation, slates)
        return self._response.probabilities(observation, slates), None

    def _new_sessions(self, count: int) -> tuple[SessionState, torch.Tensor, torch.Tensor]:
        """Return states, users, and what tells the simulator who these are."""
        rows = torch.randint(
            len(self._pool), (count,), generator=self._generator, device=self.device
        )
        state = self.rules.start(self._pool.observation(rows), self._pool.clicked(rows))
        return state, self._pool.users[rows].to(torch.int64), self._pool.user_numbers(rows)

    def _replace(self, finished: torch.Tensor) -> None:
        """Give the finished rows new users; tensors already handed out stay as they are."""
        fresh, users, numbers = self._new_sessions(len(finished))
        observation = Observation(
            *(
                field.index_copy(0, finished, new) if field.numel() else field
                for field, new in zip(self._state.observation, fresh.observation, strict=True)
            )
        )
        patience = self._state.patience.index_copy(0, finished, fresh.patience)
        showings, clicked = (
            field.index_copy(0, finished, new) if field.numel() else field
            for field, new in (
                (self._state.showings, fresh.showings),
                (self._state.clicked, fresh.clicked),
            )
        )
        self._state = SessionState(observation, patience, showings, clicked)
        self._users = self._users.index_copy(0, finished, users)
        self._numbers = self._numbers.index_copy(0, finished, numbers)


def refuse_training_mode(response: Response) -> None:
    """Refuse a response model whose dropout would be drawn at every step.

    Args:
        response: A torch module, or anything else that gives probabilities.

    Raises:
        ValueError: It is a module in training mode.
    """
    if getattr(response, "training", False):
        raise ValueError("the response model is in training mode: call eval() or freeze() first")
