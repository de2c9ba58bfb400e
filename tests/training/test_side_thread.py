import threading

import pytest
import torch

from hsrl_pipeline.training.side_thread import SideThread

CPU = torch.device("cpu")


def test_work_runs_beside_and_shares_the_threads(two_threads):
    seen = {}

    def work():
        seen["name"], seen["threads"] = threading.current_thread(), torch.get_num_threads()

    with SideThread(CPU) as beside:
        beside.start(work).result()
        assert torch.get_num_threads() == 1
    assert seen["name"] is not threading.current_thread()
    assert seen["threads"] == 1
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("threads", "device"), [(1, CPU), (2, torch.device("cuda"))])
def test_where_a_thread_would_not_help_work_is_done_at_once(two_threads, threads, device):
    torch.set_num_threads(threads)
    seen = []
    with SideThread(device) as beside:
        beside.start(lambda: seen.append(threading.current_thread()))
        assert seen == [threading.current_thread()]
        assert torch.get_num_threads() == threads


@pytest.mark.parametrize("threads", [1, 2])
def test_errors_arrive_and_threads_are_given_back(two_threads, threads):
    torch.set_num_threads(threads)

    def work():
        raise ArithmeticError("broken")

    with pytest.raises(ArithmeticError, match="broken"), SideThread(CPU) as beside:
        beside.start(work).result()
    assert torch.get_num_threads() == threads
