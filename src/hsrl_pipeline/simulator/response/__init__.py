"""The simulated user's response: models of clicks, how they are fitted, how faithful they are."""

from typing import TYPE_CHECKING

from hsrl_pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from hsrl_pipeline.simulator.response.attention import AttentionResponse as AttentionResponse
    from hsrl_pipeline.simulator.response.base import UserResponseModel as UserResponseModel
    from hsrl_pipeline.simulator.response.calibration import PlattScaling as PlattScaling
    from hsrl_pipeline.simulator.response.calibration import fit_platt_scaling as fit_platt_scaling
    from hsrl_pipeline.simulator.response.checkpoint import (
        build_response_model as build_response_model,
    )
    from hsrl_pipeline.simulator.response.checkpoint import (
        describe_response_model as describe_response_model,
    )
    from hsrl_pipeline.simulator.response.constant import ConstantResponse as ConstantResponse
    from hsrl_pipeline.simulator.response.ensemble import EnsembleResponse as EnsembleResponse
    from hsrl_pipeline.simulator.response.fidelity import FidelityTables as FidelityTables
    from hsrl_pipeline.simulator.response.fidelity import measure_fidelity as measure_fidelity
    from hsrl_pipeline.simulator.response.recorded import RecordedResponse as RecordedResponse
    from hsrl_pipeline.simulator.response.recorded import record_answers as record_answers
    from hsrl_pipeline.simulator.response.simulators import fit_simulator as fit_simulator
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".attention": ["AttentionResponse"],
            ".base": ["UserResponseModel"],
            ".calibration": ["PlattScaling", "fit_platt_scaling"],
            ".checkpoint": ["build_response_model", "describe_response_model"],
            ".constant": ["ConstantResponse"],
            ".ensemble": ["EnsembleResponse"],
            ".fidelity": ["FidelityTables", "measure_fidelity"],
            ".recorded": ["RecordedResponse", "record_answers"],
            ".simulators": ["fit_simulator"],
        },
    )
