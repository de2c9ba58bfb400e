from pathlib import Path

import matplotlib.pyplot as plt

from hsrl_pipeline.io.figure_dataset import AtomicFigureDataset


def test_a_saved_figure_is_a_picture_and_is_closed(tmp_path: Path) -> None:
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    AtomicFigureDataset(filepath=str(tmp_path / "plot.png")).save(figure)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert not plt.fignum_exists(figure.number)
