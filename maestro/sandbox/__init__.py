"""A small real platform to try Maestro on and to test it against."""
