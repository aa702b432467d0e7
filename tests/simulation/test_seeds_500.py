from tests.simulation.seeds import worlds_from

test_the_rules_hold_whatever_goes_wrong = worlds_from(500)
