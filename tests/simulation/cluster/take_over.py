"""How long a take-over takes, in worlds where nothing goes wrong but that one node is lost."""

from tests.simulation.cluster.world import World


def take_overs(seed: int) -> list[float]:
    """Lose a node, killed or frozen; return after how many seconds each of its systems is served by another one."""
    world = World(seed, calm=True)
    world.begin()
    world.engine.run(30.0 + world.engine.random.random())
    lost = world.engine.random.choice(world.machines)
    theirs = [one for one in world.system_ids if world.serving(one) == [lost]]
    began = world.engine.now
    if world.engine.chance(0.5):
        lost.crash()
    else:
        lost.freeze()
    took: dict[str, float] = {}
    while len(took) < len(theirs) and world.engine.now < began + 60.0:
        world.engine.run(world.engine.now + 0.02)
        took |= {one: world.engine.now - began for one in theirs if one not in took and world.serving(one)}
    return [took.get(one, 60.0) for one in theirs]
