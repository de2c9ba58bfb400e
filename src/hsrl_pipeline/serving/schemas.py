"""What goes over HTTP, and appears on the server's OpenAPI page."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from hsrl_pipeline.serving.catalogue_change import AskedChange
from hsrl_pipeline.serving.item_features import NewItem
from hsrl_pipeline.serving.requests import (
    LONGEST_HISTORY,
    MOST_CANDIDATES,
    MOST_EXCLUDED,
    MOST_ITEMS,
)

OwnIdField = Annotated[StrictStr, Field(max_length=256)] | StrictInt
"""An item's id as the user's own data writes it, as text or as a whole number."""

FeatureField = StrictStr | StrictInt | StrictFloat | None


class Body(BaseModel):
    """A body without unknown fields."""

    model_config = ConfigDict(extra="forbid")


class RecommendBody(Body):
    """A question; everything may be left out."""

    history: list[OwnIdField] | None = Field(
        None,
        max_length=LONGEST_HISTORY,
        description="Clicked items, oldest first; the newest count. Leave it out for a new user; "
        "ids that no item has are passed over and counted",
        examples=[["12", "7", "93"]],
    )
    responses: list[Annotated[StrictInt, Field(ge=0, le=1)]] | None = Field(
        None,
        max_length=LONGEST_HISTORY,
        description="Where history holds shown items: 1 for each that was clicked, 0 for each that "
        "was not; null where all were clicked. Policies that read clicks alone are told the clicks",
        examples=[[1, 0, 1]],
    )
    user: dict[str, FeatureField] = Field(
        default_factory=dict,
        description="Features by name; missing ones may be left out",
        examples=[{}],
    )
    candidates: list[OwnIdField] | None = Field(
        None,
        max_length=MOST_CANDIDATES,
        description="Items to choose among; null searches the whole live catalogue",
        examples=[None],
    )
    exclude: list[OwnIdField] = Field(
        default_factory=list,
        max_length=MOST_EXCLUDED,
        description="Items that must not come back",
        examples=[[]],
    )
    n: StrictInt = Field(10, ge=1, le=MOST_ITEMS, description="Items to recommend at most")
    user_id: Annotated[StrictStr, Field(max_length=256)] | None = Field(
        None, description="Who asks; kept with the events alone, so that a user's days can be told"
    )


class RecommendAnswer(BaseModel):
    """The recommended items, best first."""

    items: list[str] = Field(description="Ids as text")
    scores: list[float] = Field(description="Comparable within one answer alone")
    semantic_ids: list[list[int]] = Field(description="Codes of each item, coarse to fine")
    catalogue_version: str
    model: str
    request_id: str = Field(description="Names the slate in feedback")


NumberField = StrictInt | StrictFloat


class NewItemBody(Body):
    """An item that the model has never had."""

    item_id: OwnIdField
    title: Annotated[StrictStr, Field(max_length=2000)] = ""
    content: dict[str, NumberField | None] = Field(
        default_factory=dict,
        description="Features by name, as the item features have them; null where not known. "
        "Features that only hold 0 and 1 may be left out and are 0",
    )
    vector: list[NumberField] | None = Field(
        None, max_length=10_000, description="Vector that comes with the data, if items have one"
    )
    price: NumberField | None = None
    shelf: StrictInt | None = None
    special: StrictBool | None = None


class ChangeBody(Body):
    """Items that arrive and leave."""

    version_before: StrictStr = Field(
        max_length=100, description="Version that the change is for, as GET /catalogue tells it"
    )
    add: list[OwnIdField] = Field(default_factory=list, max_length=MOST_CANDIDATES)
    release: list[OwnIdField] = Field(default_factory=list, max_length=MOST_CANDIDATES)
    new: list[NewItemBody] = Field(
        default_factory=list,
        max_length=MOST_CANDIDATES,
        description="Items that the model has never had, with what is known of them",
    )

    def asked(self) -> AskedChange:
        """Return the change that it describes."""
        new = [NewItem(**item.model_dump()) for item in self.new]
        return AskedChange(self.version_before, self.add, self.release, new)


class FeedbackBody(Body):
    """What was clicked of a slate."""

    request_id: StrictStr = Field(max_length=100)
    clicks: list[OwnIdField] = Field(
        default_factory=list, max_length=MOST_ITEMS, description="Clicked items; none is an answer"
    )


class ErrorBody(BaseModel):
    """Why a request was refused."""

    field: str = Field(description="Field that is wrong, such as candidates or user.age")
    error: str = Field(description="What is wrong with it")


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": told}
    for status, told in {
        400: "The body is no JSON",
        413: "The body is too large",
        422: "A field is wrong",
    }.items()
}
ADMIN_ERRORS = ERRORS | {
    status: {"model": ErrorBody, "description": told}
    for status, told in {
        401: "The token is missing or wrong",
        403: "Administrative calls are off",
        409: "The change is for another version",
    }.items()
}
