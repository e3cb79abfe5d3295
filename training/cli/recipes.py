"""`cxr-train recipes`."""

import click


@click.command()
def recipes() -> None:
    """List the recipes that are shipped, by the command that takes each.

    Reads the recipes' own first lines and writes a line each to the terminal. `--config NAME` of the command takes
    one; `--config NAME --print-config` shows all of its values with the defaults that it leaves.
    """
    from recipes import recipe_command, recipe_title, shipped_recipes

    by_command: dict[str, list[str]] = {}
    for name, path in shipped_recipes().items():
        by_command.setdefault(recipe_command(name), []).append(f"  {name:24} {recipe_title(path)}")
    for command, lines in by_command.items():
        click.echo("\n".join([f"cxr-train {command}", *lines]))
