"""Run the code cells of a notebook in order, in one namespace, without Jupyter (a kernel would bring 30 packages).

    python -m tests.examples.notebook_cells NOTEBOOK

Code in a cell must be plain Python: there are no magics and no shell lines. Each cell's seconds go to stdout.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def code_cells(notebook: Path) -> list[str]:
    """The source of each code cell."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run(notebook: Path) -> None:
    """Run every cell; an exception names the cell in its traceback."""
    namespace: dict[str, Any] = {"__name__": "notebook"}
    for number, source in enumerate(code_cells(notebook), start=1):
        began = time.monotonic()
        exec(compile(source, f"{notebook.name}, code cell {number}", "exec"), namespace)
        print(f"cell {number}: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]).resolve())
