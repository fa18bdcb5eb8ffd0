"""Records that objects refer to, in a plan: those of all sources are loaded together, and each is built once."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from schema.execution.columns import Column, checked
from schema.execution.hints import FieldFailed, Hint, NotCompilable, Reference, Values, selects_only_id
from schema.execution.runs import Run
from schema.execution.sizes import AnswerSize, AnswerTooLarge, copies_of

if TYPE_CHECKING:
    from schema.execution.plans import Plan


class ReferenceField(NamedTuple):
    """One field of a document that is a record for each source."""

    hint: Reference
    plan: "Plan"
    columns: frozenset[str]
    required: bool

    async def load(self, sources: Sequence[Any], run: Run) -> list[Any]:
        """Load the records of these sources and return them, each once; raise FieldFailed, or what ends the whole answer."""
        ids = {id for id in map(attrgetter(self.hint.id_attribute), sources) if id is not None}
        await run.give_way()
        try:
            records = await self.hint.loader(run.context, self.columns)(ids)
        except (NotCompilable, AnswerTooLarge):
            raise
        except Exception as error:
            raise FieldFailed from error
        run.records[id(self.plan)] = records
        return [records[id] for id in ids if records[id] is not None]

    def column(self, sources: Sequence[Any], run: Run) -> Values:
        ids = list(map(attrgetter(self.hint.id_attribute), sources))
        loaded = run.records[id(self.plan)]
        # One that many refer to is built once.
        records = {id: loaded[id] for id in ids if id is not None and loaded[id] is not None}
        size: AnswerSize = run.size
        before = size.bounds + size.reused
        built = dict(zip(records, self.plan.build(list(records.values()), run), strict=True))
        if len(ids) > len(built):
            size.add_copies(built, copies_of(ids, built), size.bounds + size.reused - before)
        return checked([built.get(id) for id in ids], self.required)


def shows_only_id(hint: Hint | None, details: list[Any]) -> bool:
    """Tell whether the record that refers has all that is selected."""
    return isinstance(hint, Reference) and not hint.by_id and selects_only_id(part.node for part in details)


def only_id(answers: dict[str, str | None], id_of: Callable[[Any], Any], required: bool) -> Column:
    """Return what answers with the ID alone; `answers` has, by response key, what is no ID."""
    if list(answers.values()) == [None]:
        (name,) = answers
        return lambda sources, _run: checked([None if id is None else {name: id} for id in map(id_of, sources)], required)

    def column(sources: Sequence[Any], _run: Any) -> Values:
        return checked(
            [None if id is None else {name: answer or id for name, answer in answers.items()} for id in map(id_of, sources)],
            required,
        )

    return column
