"""Pages below objects, in a plan: those of all parents are read together, and built together."""

from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import FieldNode

from schema.execution.arguments import Arguments
from schema.execution.columns import checked
from schema.execution.hints import FieldFailed, NestedPages, NotCompilable, Values
from schema.execution.runs import Run

if TYPE_CHECKING:
    from schema.execution.plans import Plan


class NestedPagesField(NamedTuple):
    """One field of a document that has a page for each parent."""

    hint: NestedPages
    node: FieldNode
    arguments: Arguments
    plan: "Plan"
    required: bool

    async def load(self, parents: Sequence[Any], run: Run) -> None:
        """Load the pages of these parents, and all that their plan needs; raise FieldFailed, or NotCompilable."""
        ids = set(map(attrgetter(self.hint.id_attribute), parents))
        pages = run.pages.get(id(self.node), {})
        if not ids <= pages.keys():
            await run.give_way()
            try:
                pages = await run.pages_loader(self.hint, self.node, self.arguments)(ids)
            except NotCompilable:
                raise
            except Exception as error:
                raise FieldFailed from error
            run.pages[id(self.node)] = pages
        if self.plan.loads:
            await self.plan.load([page for id in ids if (page := pages[id]) is not None], run)

    def column(self, parents: Sequence[Any], run: Run) -> Values:
        ids = list(map(attrgetter(self.hint.id_attribute), parents))
        loaded = run.pages[id(self.node)]
        # One that several parents have is built once.
        pages = {id: page for id in ids if (page := loaded[id]) is not None}
        built = dict(zip(pages, self.plan.build(list(pages.values()), run), strict=True))
        return checked([built.get(id) for id in ids], self.required)
