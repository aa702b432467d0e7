"""`python -m maestro.sandbox`: the same as `maestro sandbox`."""

import typer

from maestro.sandbox.commands import sandbox

if __name__ == "__main__":
    typer.run(sandbox)
