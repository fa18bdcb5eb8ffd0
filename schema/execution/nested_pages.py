"""Pages below objects, in a plan: those of all parents are read together, and built together."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import FieldNode

from schema.execution.arguments import Arguments
from schema.execution.columns import checked
from schema.execution.hints import FieldFailed, NestedPages, NotCompilable, Values
from schema.execution.runs import BuiltPages, Run
from schema.execution.sizes import AnswerTooLarge, copies_of

if TYPE_CHECKING:
    from schema.execution.plans import Plan

# A page has a hundred objects at most: these take a few milliseconds.
PAGES_AT_ONCE = 20


class NestedPagesField(NamedTuple):
    """One field of a document that has a page for each parent."""

    hint: NestedPages
    node: FieldNode
    arguments: Arguments
    plan: "Plan"
    columns: frozenset[str]
    required: bool

    async def load(self, parents: Sequence[Any], run: Run) -> None:
        """Load the pages of these parents and all that their plan needs, and build them; raise FieldFailed, or NotCompilable."""
        ids = set(map(attrgetter(self.hint.id_attribute), parents))
        pages = run.pages.get(id(self.node), {})
        if not ids <= pages.keys():
            await run.give_way()
            try:
                pages = await run.load_pages(self.hint, self.node, self.arguments, self.columns, ids)
            except (NotCompilable, AnswerTooLarge):
                raise
            except Exception as error:
                raise FieldFailed from error
            run.pages[id(self.node)] = pages
        if self.plan.loads:
            await self.plan.load([page for id in ids if (page := pages[id]) is not None], run)
        await self._build(ids, pages, run)

    async def _build(self, ids: Iterable[str], pages: Mapping[str, Any], run: Run) -> None:
        """Build what is not built yet, a few pages at a time: others are served in between."""
        built = run.built.setdefault(id(self.node), BuiltPages())
        unbuilt = [id for id in ids if id not in built.answers and pages[id] is not None]
        for start in range(0, len(unbuilt), PAGES_AT_ONCE):
            await run.give_way()
            some, before = unbuilt[start : start + PAGES_AT_ONCE], run.size.bounds + run.size.reused
            answers = self.plan.build([pages[id] for id in some], run)
            built.answers.update(zip(some, answers, strict=True))
            built.bound += run.size.bounds + run.size.reused - before

    def column(self, parents: Sequence[Any], run: Run) -> Values:
        ids = list(map(attrgetter(self.hint.id_attribute), parents))
        built = run.built[id(self.node)]
        if len(ids) > 1 or not built.shown.isdisjoint(ids):
            copies = copies_of(ids, built.answers)
            shown = {id: count + (id in built.shown) for id, count in copies.items()}
            run.size.add_copies(built.answers, shown, built.bound)
        built.shown.update(ids)
        run.size.reused += built.bound
        return checked([built.answers.get(id) for id in ids], self.required)
