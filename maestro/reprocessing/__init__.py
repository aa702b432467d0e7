"""The rules: what is judged, held, replayed and ended, as pure code. No I/O, no clock, no actor."""
