"""What ``hsrl`` serves by: scores of items, the live ones among them, clicks that it follows."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hsrl_pipeline.agents.base import Action, AgentContext
from hsrl_pipeline.agents.click_likelihood import ClickLikelihood
from hsrl_pipeline.agents.follows_clicks import FollowedItems
from hsrl_pipeline.agents.hsrl_networks import HsrlNetworks, decided_codes, shelf_numbers
from hsrl_pipeline.agents.slate_policies import CatalogueSlates, SlatePolicy
from hsrl_pipeline.agents.torch_agent import TorchAgent
from hsrl_pipeline.agents.walked_slates import CodeSlates, TrieSlates
from hsrl_pipeline.config.agents.hsrl import HsrlSettings
from hsrl_pipeline.networks.catalogue_tables import CatalogueTables, WrittenRows, start_rows
from hsrl_pipeline.networks.code_masses import CodeMasses
from hsrl_pipeline.networks.code_scores import CodeScores
from hsrl_pipeline.networks.code_search import CodeSearch
from hsrl_pipeline.networks.trie_policy import TriePolicy
from hsrl_pipeline.observation import Observation
from hsrl_pipeline.semantic_ids.code_trie import CodeTrie


class HsrlPolicy(TorchAgent[HsrlSettings]):
    """All of ``hsrl`` but what it learns by: it acts, takes over catalogues and follows clicks.

    Args:
        settings: Settings of the agent.
        context: Sizes, item tables, semantic IDs, device and seed.
        networks: What states, items, clicks and values are computed with.
    """

    def __init__(
        self, settings: HsrlSettings, context: AgentContext, networks: HsrlNetworks
    ) -> None:
        encoder, head, click_bias, critic = networks
        policy = nn.ModuleDict({"encoder": encoder, "head": head})
        critics: dict[str, nn.Module] = {"critic": critic}
        # a policy that follows clicks while it serves has to know how likely they are
        (critics if settings.arrival_prior is None else policy)["click_bias"] = click_bias
        super().__init__(
            "hsrl",
            settings,
            context,
            policy=policy,
            critics=critics,
            log_batch_size=settings.log_batch_size,
        )
        self._encoder, self._head = encoder, head
        self._slate_size = context.slate_size
        self._shelves, self._item_priors = context.shelves, context.item_priors
        self._shelf_of = torch.from_numpy(shelf_numbers(context)).to(context.device)
        self._clicks = ClickLikelihood(
            click_bias,
            self._shelf_of,
            click_temperature=settings.click_temperature,
            doubt_coef=settings.doubt_coef,
        )
        self._search: CodeSearch | None = None
        codes_alone = settings.policy_head == "codes"
        trie = self._make_trie(context.codes) if codes_alone else None
        self._take_live(self._live, trie)

    @property
    def follows_clicks(self) -> bool:
        """Whether shows and clicks of items that arrive later count in their scores."""
        return self._settings.arrival_prior is not None

    def _take_live(self, live: np.ndarray, trie: CodeTrie | None) -> None:
        """Recommend live items, (item,) bool, from now on.

        Args:
            live: (item,) bool. Row 0 is False.
            trie: Their codes, where the head scores codes alone.
        """
        head, own = self._head, self._settings
        self._slates: SlatePolicy
        if isinstance(head, TriePolicy):
            self._slates = TrieSlates(head, self._slate_size, own.beam_width)
        elif trie is not None:
            self._masses = CodeMasses(head, trie).to(self._device)
            self._slates = CodeSlates(self._masses, self._selector, self._slate_size)
        else:
            self._slates = CatalogueSlates(head, self._selector)
        live_items = np.flatnonzero(live)
        self._live_items = torch.from_numpy(live_items).to(self._device)
        # the entropy is that of one item of a shelf, averaged over shelves
        sizes = torch.bincount(self._shelf_of[self._live_items]).cpu().numpy()
        self._most_entropy = float(np.log(sizes[sizes > 0]).mean())

    def _take_catalogue(self, tables: CatalogueTables) -> list[WrittenRows]:
        """Bring the head to the live items, and the draw of doubtful ones with it."""
        own, head = self._settings, self._head
        written: list[WrittenRows] = []
        as_items = own.action_space == "items"
        trie = None if own.policy_head == "look_up" else self._make_trie(tables.live_codes)
        if isinstance(head, CodeScores):
            written += head.set_items(tables, own.new_items if as_items else None)
        elif trie is not None:
            head.set_trie(trie.to(self._device), tables.item_vectors)
            if as_items:
                written += start_rows(head.heads[0], tables, own.new_items)  # type: ignore[arg-type]
        self._take_live(tables.catalogue.live, trie)
        if self._search is not None:
            self._search.set_items()
        return written

    def _make_trie(self, codes: np.ndarray) -> CodeTrie:
        """Return the trie of what is decided, of the items that have codes, (item, level) int64."""
        decided, sizes = decided_codes(codes, self._vocab_sizes, self._settings)
        return CodeTrie(decided, sizes, self._shelves, self._item_priors)

    @torch.no_grad()
    def act(
        self, observation: Observation, *, explore: bool, generator: torch.Generator | None = None
    ) -> Action:
        """Return the likeliest items, or a draw without replacement when exploring."""
        slates, log_prob = self._slates.decode(
            self._encoder(observation), observation, draw=explore, generator=generator
        )
        return Action(slates, self._no_latent(slates), log_prob)

    @torch.no_grad()
    def item_scores(self, observation: Observation) -> torch.Tensor:
        """Return the scores of all items; see ``ItemScorer``."""
        return self._slates.item_scores(self._encoder(observation), observation)

    @torch.no_grad()
    def scores_of(self, observation: Observation, items: torch.Tensor) -> torch.Tensor:
        """Return the scores of given items; see ``ItemScorer``."""
        return self._slates.scores_of(self._encoder(observation), observation, items)

    def prepare_to_serve(self) -> None:
        """Make what finds the best of very many items quickly; see ``ItemScorer``."""
        # its bounds hold as long as scores of items stay, which those that follow clicks do not
        one_shelf = self._selector.n_shelves == 1
        if isinstance(self._head, CodeScores) and one_shelf and not self.follows_clicks:
            self._search = CodeSearch(self._head)

    @torch.no_grad()
    def best_items(self, observation: Observation, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the live items of highest score; the trie finds them by a beam."""
        state = self._encoder(observation)
        if isinstance(self._slates, TrieSlates):
            return self._slates.best_items(state, observation, n)
        found = None if self._search is None else self._search.best(state, observation.shown, n)
        if found is not None:
            return found
        scores = observation.mask_shown(self._slates.item_scores(state, observation))
        return self._selector.best(scores, n)

    @torch.no_grad()
    def observe(self, observation: Observation, slates: torch.Tensor, clicks: torch.Tensor) -> None:
        """Take in what became of slates, without an update; see ``FollowsClicks``."""
        head = self._head
        if isinstance(head, CodeScores) and head.statistics is not None:
            state = self._encoder(observation)
            logits = self._clicks.log_odds(state, slates, head.of_items(state, slates))
            head.statistics.observe(slates, clicks, logits.sigmoid())

    def followed_items(self) -> FollowedItems:
        """Return what was taken in so far; see ``FollowsClicks``."""
        statistics = self._head.statistics if isinstance(self._head, CodeScores) else None
        if statistics is None:
            none = torch.zeros(0, dtype=torch.int64, device=self._device)
            return FollowedItems(none, none.new_zeros((0, 2), dtype=torch.float32))
        return FollowedItems(*statistics.of_arrived())

    def take_over(self, followed: FollowedItems) -> None:
        """Take over what another policy has taken in; see ``FollowsClicks``."""
        if isinstance(self._head, CodeScores) and self._head.statistics is not None:
            self._head.statistics.take_over(*followed)
