"""A user with a taste of their own: the learned user, and what no feature and no history tells."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from typing_extensions import Self

from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import check_shape
from hsrl_pipeline.simulator.response.attention import AttentionResponse
from hsrl_pipeline.simulator.response.base import Newcomers, UserResponseModel
from hsrl_pipeline.simulator.response.taste import ItemTastes, infer_tastes
from hsrl_pipeline.simulator.response.taste_fitting import UserTastes


class PersonalResponse(UserResponseModel):
    """A response model whose log-odds get a part that only the user's own answers tell.

    Observations come with the number of the user as last numeric feature; policies never see it.

    Args:
        base: The model that knows features and history.
        item_vectors: (item, size) float32. What the vector of a user is multiplied with.
        item_log_odds: (item,) float32. Log-odds of a click by the average user, in the model that
            tastes are inferred with; not part of the answers.
        precision: (size + 1,) float32. Prior precision of a taste, for the same purpose.
        scales: (size + 1,) float32. What tastes are multiplied with before they count.
        tastes: (user, size + 1) float32. Vectors and, last, biases; zero for unknown users.
    """

    identified = True
    TABLES = ("item_vectors", "item_log_odds", "precision", "scales", "tastes")
    item_vectors: torch.Tensor
    item_log_odds: torch.Tensor
    precision: torch.Tensor
    scales: torch.Tensor
    tastes: torch.Tensor
    effective: torch.Tensor

    def __init__(self, base: AttentionResponse, **tables: torch.Tensor) -> None:
        super().__init__()
        size = tables["tastes"].shape[1]
        check_shape("item_vectors", tables["item_vectors"], base.n_items + 1, size - 1)
        check_shape("item_log_odds", tables["item_log_odds"], base.n_items + 1)
        check_shape("precision", tables["precision"], size)
        check_shape("scales", tables["scales"], size)
        self.base = base
        self.n_items = base.n_items
        self.history_size = base.history_size
        for name in self.TABLES:
            self.register_buffer(name, tables[name].to(torch.float32))
        self.register_buffer("effective", self.tastes * self.scales, persistent=False)

    @classmethod
    def of(cls, base: AttentionResponse, tastes: UserTastes) -> PersonalResponse:
        """Return a model whose users have the given tastes."""
        tables = {
            "item_vectors": tastes.items.vectors,
            "item_log_odds": tastes.items.log_odds,
            "precision": tastes.items.precision,
            "scales": tastes.scales,
            "tastes": tastes.tastes,
        }
        return cls(base, **{name: torch.as_tensor(table) for name, table in tables.items()})

    def tables(self) -> Mapping[str, torch.Tensor]:
        """Return the constructor's tables by name."""
        return {name: self.get_buffer(name) for name in self.TABLES}

    def item_tastes(self) -> ItemTastes:
        """Return what tastes are inferred with, by `infer_tastes`."""
        tables = (self.item_vectors, self.item_log_odds, self.precision)
        return ItemTastes(*(table.cpu().double().numpy() for table in tables))

    def knows(self, users: torch.Tensor) -> torch.Tensor:
        """Return (user,) bool: whether a user's taste was inferred from rows."""
        return self.tastes[self._rows(users)].any(dim=1)

    def introduced(self, newcomers: Newcomers) -> PersonalResponse:
        """Return a model that has inferred the tastes of newcomers; see the base class.

        Users with rows keep the taste that followed from them.
        """
        met = self.tastes[self._rows(newcomers.users)]
        unknown = ~self.knows(newcomers.users)
        if bool(unknown.any()):
            tastes = infer_tastes(self.item_tastes(), newcomers.feedback, apart=True)
            met = torch.where(unknown[:, None], torch.from_numpy(tastes).to(met), met)
        unused = met.new_zeros((newcomers.first - len(self.tastes), met.shape[1]))
        tables = {**self.tables(), "tastes": torch.cat([self.tastes, unused, met])}
        return PersonalResponse(self.base, **tables).freeze()

    def logits(
        self,
        user_categories: torch.Tensor,
        user_dense: torch.Tensor,
        history: torch.Tensor,
        slates: torch.Tensor,
    ) -> torch.Tensor:
        """Return the log-odds of a click on each item of a slate; see the base class."""
        anonymous = self.base.logits(user_categories, user_dense[:, :-1], history, slates)
        return anonymous + self.personal_part(user_dense[:, -1], slates)

    def scores_all(self, observation: Observation) -> torch.Tensor:
        """Return the log-odds of a click on every item; see the base class."""
        dense = observation.user_dense
        anonymous = self.base.scores_all(observation._replace(user_dense=dense[:, :-1]))
        return anonymous + self.personal_part(dense[:, -1])

    def personal_part(
        self, users: torch.Tensor, slates: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return what the tastes of users add to the log-odds.

        Args:
            users: (batch,) int64 or float32. User indices; unknown ones have no taste.
            slates: (batch, slate) int64, or None for every item.

        Returns:
            (batch, slate) or (batch, item) float32.
        """
        own = self.effective[self._rows(users)]
        vectors, bias = own[:, :-1], own[:, -1:]
        if slates is None:
            return torch.addmm(bias, vectors, self.item_vectors.T)
        met = torch.nn.functional.embedding(slates, self.item_vectors)
        return torch.bmm(met, vectors.unsqueeze(-1)).squeeze(-1) + bias

    def freeze(self) -> Self:
        """Freeze the base model; see there."""
        self.base.freeze()
        return super().freeze()

    def _rows(self, users: torch.Tensor) -> torch.Tensor:
        """Return the rows of the table of tastes; row 0 is the user without rows."""
        numbers = users.to(torch.int64)
        return numbers.where((numbers >= 0) & (numbers < len(self.tastes)), 0)
