"""All that serving needs of a trained project, in one file without code in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hsrl_pipeline.agents.base import AgentContext, ItemScorer
from hsrl_pipeline.agents.policy_checkpoint import grow_policy, restore_policy
from hsrl_pipeline.catalogue.changes import Publication
from hsrl_pipeline.catalogue.live_catalogue import LiveCatalogue
from hsrl_pipeline.errors import UserError
from hsrl_pipeline.serving.item_publisher import ItemPublisher
from hsrl_pipeline.serving.user_features import UserEncoder

KIND = "hsrl_pipeline.served_model"


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A trained policy, the catalogue it serves and the names that its users go by.

    Attributes:
        policy: Checkpoint of the policy, as ``describe_policy`` makes it.
        name: What answers call the model.
        item_ids: (item,) The user's own ids as text, by item index; empty for row 0 and for rows
            that no item has yet.
        users: From user features by name to what the policy reads.
        launch: The tables that the policy was built with.
        catalogue: The version to serve first.
        horizon: Longest session that the policy was trained for, in steps.
        item_priors: (item,) float32 or None, see ``AgentContext``.
        shelves: (item,) int64 or None, see ``AgentContext``.
        arrivals: Vectors and semantic IDs of items that may arrive later; None for none.
        publisher: Makes vectors and semantic IDs of items that the model has never had; None where
            it can't take any.
    """

    policy: Mapping[str, Any]
    name: str
    item_ids: tuple[str, ...]
    users: UserEncoder
    launch: LiveCatalogue
    catalogue: LiveCatalogue
    horizon: int
    item_priors: NDArray[np.float32] | None = None
    shelves: NDArray[np.int64] | None = None
    arrivals: Publication | None = None
    publisher: ItemPublisher | None = None

    @cached_property
    def item_index(self) -> dict[str, int]:
        """Item index by the user's own id."""
        return {text: index for index, text in enumerate(self.item_ids) if text}

    @cached_property
    def n_shelves(self) -> int:
        """Number of shelves; 1 without."""
        return 1 if self.shelves is None else len(np.unique(self.shelves[1:]))

    @property
    def history_size(self) -> int:
        """Length H of the history that the policy reads."""
        return int(self.policy["config"]["sizes"]["history_size"])

    @property
    def reads_responses(self) -> bool:
        """Whether the policy's history holds shown items with their responses."""
        return bool(self.policy["config"]["sizes"].get("history") == "responses")

    def named(self, name: str) -> ServedModel:
        """Return the same model under another name."""
        return replace(self, name=name)

    def restore(self, device: torch.device | str = "cpu") -> ItemScorer:
        """Return the policy, ready to answer under ``catalogue``.

        Args:
            device: Where it computes.

        Raises:
            UserError: The policy fits other tables.
        """
        context = self._context(torch.device(device))
        moved = "catalogue_version" in self.policy["config"]
        agent: Any = restore_policy(self.policy, context, self.catalogue if moved else None)
        agent.set_catalogue(self.catalogue)
        scorer: ItemScorer = agent
        return scorer

    def grown(
        self, agent: ItemScorer, catalogue: LiveCatalogue, n_rows: int, shelves: Sequence[int] = ()
    ) -> ServedModel:
        """Return the model with room for further items, served first under a version of now.

        Args:
            agent: The policy under ``catalogue``.
            catalogue: The version that answers.
            n_rows: Rows to add to all tables of items; they belong to no item yet.
            shelves: Shelf of each, where there are shelves.
        """
        added = np.asarray(shelves, np.int64) if len(shelves) else np.zeros(n_rows, np.int64)
        following = replace(
            self,
            item_ids=(*self.item_ids, *[""] * n_rows),
            launch=self.launch.with_rows(n_rows),
            catalogue=catalogue.with_rows(n_rows),
            item_priors=None
            if self.item_priors is None
            else np.concatenate([self.item_priors, np.zeros(n_rows, np.float32)]),
            shelves=None if self.shelves is None else np.concatenate([self.shelves, added]),
        )
        sizes = {**self.policy["config"]["sizes"], "n_items": following.launch.n_items}
        context = following._context(torch.device("cpu"), sizes)
        policy = grow_policy(
            self.policy["config"], agent.policy_state(), context, following.catalogue
        )
        return replace(following, policy=policy)

    def _context(
        self, device: torch.device, sizes: Mapping[str, Any] | None = None
    ) -> AgentContext:
        """Return what the policy is built with."""
        sizes = self.policy["config"]["sizes"] if sizes is None else sizes
        return AgentContext(
            n_items=sizes["n_items"],
            slate_size=sizes["slate_size"],
            history_size=sizes["history_size"],
            category_sizes=tuple(sizes["category_sizes"]),
            n_dense=sizes["n_dense"],
            horizon=self.horizon,
            item_vectors=self.launch.item_vectors,
            codes=self.launch.codes,
            vocab_sizes=tuple(sizes["vocab_sizes"]),
            device=device,
            seed=0,
            shelves=self.shelves,
            item_priors=self.item_priors,
            history=sizes.get("history", "clicks"),
        )

    def to_checkpoint(self) -> dict[str, Any]:
        """Return config and tensors for ``hsrl_pipeline.checkpoint``."""
        state: dict[str, Any] = {f"policy.{k}": v for k, v in self.policy["state"].items()}
        for part in ("launch", "catalogue"):
            tables: LiveCatalogue = getattr(self, part)
            if part == "catalogue" and tables is self.launch:
                continue
            state |= {
                f"{part}.live": tables.live,
                f"{part}.item_vectors": tables.item_vectors,
                f"{part}.codes": tables.codes,
            }
        if self.item_priors is not None:
            state["item_priors"] = self.item_priors
        if self.shelves is not None:
            state["shelves"] = self.shelves
        if self.arrivals is not None:
            state |= {f"arrivals.{k}": v for k, v in self.arrivals.to_state().items()}
        publisher = None if self.publisher is None else self.publisher.to_checkpoint()
        if publisher is not None:
            state |= {f"publisher.{k}": v for k, v in publisher["state"].items()}
        config = {
            "kind": KIND,
            "policy": dict(self.policy["config"]),
            "name": self.name,
            "item_ids": list(self.item_ids),
            "users": self.users.to_dict(),
            "horizon": self.horizon,
        }
        if publisher is not None:
            config["publisher"] = publisher["config"]
        return {"config": config, "state": state}

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any]) -> ServedModel:
        """Return what `to_checkpoint` described.

        Raises:
            UserError: The checkpoint is something else.
        """
        config, state = checkpoint["config"], checkpoint["state"]
        if config.get("kind") != KIND:
            raise UserError(
                "The file holds no model to serve",
                remedy="Give one that `kedro register` has entered.",
            )

        def arrays(prefix: str) -> dict[str, Any]:
            found = {k: v for k, v in state.items() if k.startswith(f"{prefix}.")}
            return {k.removeprefix(f"{prefix}."): np.asarray(v) for k, v in found.items()}

        launch = LiveCatalogue(**arrays("launch"))
        moved, arrivals = arrays("catalogue"), arrays("arrivals")
        publisher = None
        if "publisher" in config:
            publisher = ItemPublisher.from_checkpoint(
                {"config": config["publisher"], "state": arrays("publisher")}
            )
        policy = {k.removeprefix("policy."): v for k, v in state.items() if k.startswith("policy.")}
        return cls(
            policy={"config": config["policy"], "state": policy},
            name=config["name"],
            item_ids=tuple(config["item_ids"]),
            users=UserEncoder.from_dict(config["users"]),
            launch=launch,
            catalogue=LiveCatalogue(**moved) if moved else launch,
            horizon=config["horizon"],
            item_priors=np.asarray(state["item_priors"]) if "item_priors" in state else None,
            shelves=np.asarray(state["shelves"]) if "shelves" in state else None,
            arrivals=Publication.from_state(arrivals) if arrivals else None,
            publisher=publisher,
        )


def everything_live(item_vectors: NDArray[np.float32], codes: NDArray[np.int64]) -> LiveCatalogue:
    """Return the catalogue in which all items that have a semantic ID are live.

    Args:
        item_vectors: (item, embed) float32.
        codes: (item, level) int64. -1 for padding and items without a semantic ID.
    """
    return LiveCatalogue(np.asarray((codes >= 0).all(axis=1)), item_vectors, codes)
