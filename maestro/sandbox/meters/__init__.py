"""The second story: meter readings -> hourly totals -> daily totals -> a month's settlement, on made-up load curves.

`processes` are its processes, `readings` its data, `story` what the demo plays with both.
"""
