"""How far something long has come, shown where a terminal looks on."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class ProgressBar(NamedTuple):
    """`update` is called with how much is done, of how much; `print_line` writes a line above the bar."""

    update: Callable[[int, int], None]
    print_line: Callable[[object], None]


@contextmanager
def progress_bar(doing: str) -> Iterator[ProgressBar]:
    """Show a bar on standard error until what is done inside has ended."""
    # A server, which shows none, starts sooner without the library.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(doing, total=None)
        yield ProgressBar(
            lambda done, total: bar.update(task, completed=done, total=total), lambda text: console.print(str(text))
        )
