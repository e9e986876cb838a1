"""One module per command of `maze`, named like it.

A module holds a function of its own name, or a `typer.Typer` named `app` if the command has commands of its
own. Modules are imported for `maze --help`, so they import nothing heavy at their top: that happens inside
the functions. A new command adds its name to `cli.main.COMMANDS`.
"""
