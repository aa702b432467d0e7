"""Each loss is waited for as long as is allowed, from itself on, and not while nothing is consumed."""

from maestro.broker.rabbitmq_bounds import Bounds


def test_each_loss_has_its_time_and_an_outage_takes_none() -> None:
    bounds = Bounds(30.0)
    bounds.add(1)
    assert bounds.run(100.0) == 30.0
    assert bounds.run(104.0) == 26.0, "it was consumed already"
    bounds.stand(110.0)
    bounds.stand(170.0)
    bounds.add(2)
    assert bounds.run(170.0) == 20.0
    assert bounds.pop() == 1
    assert bounds.run(190.0) == 10.0
    assert bounds.pop() == 2
    assert (bounds.run(200.0), bounds.pop()) == (0.0, 0)


def test_attempts_that_consume_nothing_are_one_loss() -> None:
    bounds = Bounds(30.0)
    bounds.add(1)
    bounds.run(0.0)
    bounds.stand(10.0)
    for loss in (2, 3, 4):
        bounds.add(loss)
    assert bounds.pop() == 1
    assert bounds.run(10.0) == 30.0
    assert bounds.pop() == 4
