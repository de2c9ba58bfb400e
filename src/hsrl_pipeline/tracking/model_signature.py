"""What MLflow is told of a served model's requests and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

    from hsrl_pipeline.serving.served_model import ServedModel


def model_signature(model: ServedModel) -> tuple[ModelSignature, pd.DataFrame]:
    """Return the signature of requests and answers, and an example in the user's own ids.

    Args:
        model: What is served.
    """
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array, Object, ParamSchema, ParamSpec, Property

    ids = Array(DataType.string)
    fields = [Property(name, DataType.string, required=False) for name in model.users.categories]
    fields += [Property(name, DataType.double, required=False) for name in model.users.numbers]
    live = [model.item_ids[item] for item in model.catalogue.live_items[:3]]
    request: dict[str, Any] = {"history": [live], "candidates": [live], "exclude": [[]], "n": [2]}
    inputs: list[Any] = [
        ColSpec(ids, "history", required=False),
        ColSpec(Array(DataType.long), "responses", required=False),
        ColSpec(ids, "candidates", required=False),
        ColSpec(ids, "exclude", required=False),
        ColSpec(DataType.long, "n", required=False),
    ]
    if fields:
        inputs.append(ColSpec(Object(fields), "user", required=False))
        texts = {name: values[0] for name, values in model.users.categories.items() if values}
        numbers = {name: scale.mean for name, scale in model.users.numbers.items()}
        request["user"] = [texts | numbers]
    outputs: list[Any] = [
        ColSpec(ids, "items"),
        ColSpec(Array(DataType.double), "scores"),
        ColSpec(Array(Array(DataType.long)), "semantic_ids"),
        ColSpec(DataType.string, "catalogue_version"),
        ColSpec(DataType.string, "model"),
    ]
    params = ParamSchema([ParamSpec("catalogue", DataType.string, "")])
    return ModelSignature(Schema(inputs), Schema(outputs), params), pd.DataFrame(request)
