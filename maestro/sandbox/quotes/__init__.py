"""The first story: market quotes -> monthly averages -> yearly rates, on the European Central Bank's reference rates.

`processes` are its processes, `history` its data, `story` what the demo plays with both.
"""
