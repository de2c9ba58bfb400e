"""Policy networks of the baselines: one score per item, or one continuous action per session."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from hsrl_pipeline.networks.catalogue_tables import CatalogueTables, WrittenRows
from hsrl_pipeline.networks.item_representation import ItemRepresentation
from hsrl_pipeline.networks.state_encoder import StateEncoder
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.shapes import check_shape


def build_mlp(in_size: int, hidden_size: int, out_size: int) -> nn.Sequential:
    """Return a perceptron with two hidden layers and ReLU.

    Args:
        in_size: Width of the input.
        hidden_size: Width of both hidden layers.
        out_size: Width of the output, which is linear.
    """
    return nn.Sequential(
        nn.Linear(in_size, hidden_size),
        nn.ReLU(),
        nn.Linear(hidden_size, hidden_size),
        nn.ReLU(),
        nn.Linear(hidden_size, out_size),
    )


def scale_to_sphere(vectors: torch.Tensor) -> torch.Tensor:
    """Return the vectors scaled to the norm ``sqrt(latent)``, a root mean square of one.

    Args:
        vectors: (batch, latent) float32. A zero vector stays zero.
    """
    unit: torch.Tensor = functional.normalize(vectors, dim=-1)
    return unit * math.sqrt(vectors.shape[-1])


class ItemActor(nn.Module):
    """Scores every item by the dot product of state and item representation, plus a bias.

    Items are represented alike in the history and in the scores, as in SASRec.

    Args:
        encoder: State encoder; owns the item representation.

    References:
        Kang and McAuley 2018, "Self-Attentive Sequential Recommendation", Eq. 6.
    """

    def __init__(self, encoder: StateEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.item_bias = nn.Parameter(torch.zeros(encoder.items.n_items + 1))

    @torch.no_grad()
    def set_catalogue(self, tables: CatalogueTables) -> list[WrittenRows]:
        """Start the biases of new items by the rule of the item representation."""
        if not len(tables.new):
            return []
        predicted = tables.predict([self.item_bias], self.encoder.items.new_items)
        self.item_bias[tables.new] = predicted[:, 0]
        return [WrittenRows(self.item_bias, tables.new)]

    def forward(self, observation: Observation) -> torch.Tensor:
        """Score the catalogue.

        Args:
            observation: The sessions.

        Returns:
            (batch, item) float32. Column 0 belongs to padding and means nothing.
        """
        return self.score_all(self.encoder(observation))

    def score_all(self, states: torch.Tensor) -> torch.Tensor:
        """Score the catalogue for encoded states, (batch, embed) to (batch, item)."""
        return torch.addmm(self.item_bias, states, self.encoder.items.catalogue().t())

    def score_slates(self, states: torch.Tensor, slates: torch.Tensor) -> torch.Tensor:
        """Score the items of one slate per session.

        Args:
            states: (batch, embed) float32.
            slates: (batch, slate) int64.

        Returns:
            (batch, slate) float32.
        """
        check_shape("slates", slates, states.shape[0], None)
        items = self.encoder.items(slates)
        scores: torch.Tensor = (items @ states.unsqueeze(-1)).squeeze(-1)
        return scores + self.item_bias[slates]


class DirectionActor(nn.Module):
    """Maps a state to a hyper-action that is a direction, of norm ``sqrt(latent_size)``.

    A ranking by dot products does not change with the length of the hyper-action, so the length
    is no part of the action; and a direction, unlike a point in a box, cannot get stuck at a bound.

    Args:
        state_size: Width of a state.
        hidden_size: Hidden width.
        latent_size: Width of the hyper-action.
    """

    def __init__(self, state_size: int, hidden_size: int, latent_size: int) -> None:
        super().__init__()
        self.layers = build_mlp(state_size, hidden_size, latent_size)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return the hyper-action, (batch, embed) to (batch, latent) float32."""
        return scale_to_sphere(self.layers(states))


class LatentActor(nn.Module):
    """Maps a state to a hyper-action in ``[-1, 1]``.

    Args:
        state_size: Width of a state.
        hidden_size: Hidden width.
        latent_size: Width of the hyper-action.
    """

    def __init__(self, state_size: int, hidden_size: int, latent_size: int) -> None:
        super().__init__()
        self.layers = build_mlp(state_size, hidden_size, latent_size)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return the hyper-action, (batch, embed) to (batch, latent) float32."""
        action: torch.Tensor = self.layers(states).tanh()
        return action


class GaussianActor(nn.Module):
    """Diagonal Gaussian over action representations with a state-independent spread.

    Args:
        state_size: Width of a state.
        hidden_size: Hidden width.
        latent_size: Width of an action representation.
        initial_std: Standard deviation before any update, above 0.
    """

    def __init__(
        self, state_size: int, hidden_size: int, latent_size: int, initial_std: float
    ) -> None:
        super().__init__()
        self.mean = LatentActor(state_size, hidden_size, latent_size)
        self.log_std = nn.Parameter(torch.full((latent_size,), math.log(initial_std)))

    def forward(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and standard deviation, each (batch, latent) float32."""
        mean = self.mean(states)
        return mean, self.log_std.clamp(-5.0, 2.0).exp().expand_as(mean)


class ItemSpace(nn.Module):
    """Fixed positions of items in the hyper-action space.

    An actor that is trained through its critic alone gives no gradient to the items, so they are
    placed beforehand (Dulac-Arnold et al. 2015): the item vectors in the basis of their leading
    singular vectors, scaled to a mean norm of one, which keeps dot products as well as a space
    of this width can. Basis and scale are those of the items known at the start; items that arrive
    later are placed by them.

    Args:
        item_vectors: (item, vector) float32. Zero for padding and unknown items.
        latent_size: Wanted width; no more than the vectors' own is used.
    """

    table: torch.Tensor
    axes: torch.Tensor
    scale: torch.Tensor

    def __init__(self, item_vectors: torch.Tensor, latent_size: int) -> None:
        super().__init__()
        check_shape("item_vectors", item_vectors, None, None)
        vectors = item_vectors.float()
        _, axes = torch.linalg.eigh(vectors.t() @ vectors)
        width = min(latent_size, vectors.shape[1])
        leading = axes[:, -width:].flip(-1)
        # an eigenvector's sign is arbitrary; fixed here so that every machine places items alike
        largest = leading.abs().argmax(0, keepdim=True)
        signed = leading * leading.gather(0, largest).sign()
        placed = vectors @ signed
        known = (vectors != 0.0).any(-1)
        known[0] = False
        norm = placed[known].norm(dim=-1).mean().clamp(min=1e-12)
        self.register_buffer("table", placed / norm, persistent=False)
        self.register_buffer("axes", signed, persistent=False)
        self.register_buffer("scale", norm, persistent=False)

    def set_catalogue(self, tables: CatalogueTables) -> list[WrittenRows]:
        """Place new items; those that have a place keep it."""
        placed = tables.item_vectors[tables.new] @ self.axes / self.scale
        self.table = self.table.index_copy(0, tables.new, placed)
        return []

    @property
    def latent_size(self) -> int:
        """Width of the space."""
        return int(self.table.shape[1])

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """Return the places of items, (...) int64 to (..., latent) float32."""
        return self.table[items]

    def catalogue(self) -> torch.Tensor:
        """Return the places of all items, (item, latent) float32."""
        return self.table


class ItemBias(nn.Module):
    """How much every item appeals to everybody, in click log-odds beside the common level.

    A hyper-action ranks by directions alone, which cannot say that an item is good for all.

    Args:
        n_items: Number of real items.
    """

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.zeros(n_items + 1))
        self.level = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def set_catalogue(self, tables: CatalogueTables) -> list[WrittenRows]:
        """Start the biases of new items at the mean of the known ones."""
        if not len(tables.new):
            return []
        self.values[tables.new] = tables.predict([self.values], "mean")[:, 0]
        return [WrittenRows(self.values, tables.new)]

    def click_logits(self, scores: torch.Tensor, slates: torch.Tensor) -> torch.Tensor:
        """Return click log-odds of items whose scores a hyper-action gave.

        Args:
            scores: (batch, slate) float32. Scores without the bias.
            slates: (batch, slate) int64. The items.

        Returns:
            (batch, slate) float32.
        """
        return scores + self.values[slates] + self.level


class HyperActor(nn.Module):
    """Encoder, actor head and item positions: a hyper-action is a ranking of the catalogue.

    Args:
        encoder: State encoder.
        head: State to hyper-action.
        items: Positions of items in the space of the hyper-action.
        bias: What is added to the scores whatever the hyper-action; None for nothing.
    """

    def __init__(
        self,
        encoder: StateEncoder,
        head: DirectionActor | LatentActor | GaussianActor,
        items: ItemSpace | ItemRepresentation,
        bias: ItemBias | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.items = items
        self.bias = bias

    def score_all(self, latent: torch.Tensor) -> torch.Tensor:
        """Score the catalogue, (batch, latent) to (batch, item) float32."""
        return self.score_table(latent, self.items.catalogue())

    def score_table(self, latent: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """Score the catalogue by the (item, latent) positions that it is known to have."""
        scores = latent @ table.t()
        return scores if self.bias is None else scores + self.bias.values

    def score_items(self, latent: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Score given items, (batch, latent) and (batch, any) int64 to (batch, any) float32."""
        scores: torch.Tensor = (self.items(items) @ latent.unsqueeze(-1)).squeeze(-1)
        return scores if self.bias is None else scores + self.bias.values[items]

    def click_logits(self, latent: torch.Tensor, slates: torch.Tensor) -> torch.Tensor:
        """Return click log-odds of the items of one slate per session, (batch, slate) float32."""
        scores: torch.Tensor = (self.items(slates) @ latent.unsqueeze(-1)).squeeze(-1)
        return scores if self.bias is None else self.bias.click_logits(scores, slates)
