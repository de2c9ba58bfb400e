import logging

from hsrl_pipeline.training.collapse import CollapseMonitor


def test_it_warns_when_the_exposure_narrows_and_again_after_it_was_wide(caplog):
    monitor = CollapseMonitor("a2c", slate_size=10, least_slates=2.0)
    with caplog.at_level(logging.WARNING):
        for iteration, items in enumerate([200.0, 20.0, 19.9, 11.0, 30.0, 12.0], start=1):
            monitor.check(iteration, items)
    assert [record.args[1:3] for record in caplog.records] == [(3, 19.9), (6, 12.0)]
    assert monitor.collapsed


def test_a_resumed_watch_does_not_warn_twice(caplog):
    monitor = CollapseMonitor("a2c", slate_size=10, least_slates=2.0)
    monitor.collapsed = True
    with caplog.at_level(logging.WARNING):
        monitor.check(5, 10.0)
    assert not caplog.records
