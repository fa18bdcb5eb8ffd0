"""Documents that are sent to break a server, over the contract's names, and what is to become of each."""

from collections.abc import Callable
from dataclasses import dataclass

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
TOO_COMPLEX = "QUERY_TOO_COMPLEX"


@dataclass(frozen=True)
class Hostile:
    """A document; `code` is None where the limits let it through, and validation or execution has to stand it."""

    name: str
    document: str
    code: str | None = None
    limit: str | None = None


def nested_fields(levels: int) -> str:
    return "{" + "viewer{" * (levels - 1) + "subject" + "}" * levels


def nested_inline_fragments(levels: int) -> str:
    return "{viewer" + "{..." * levels + "{subject}" + "}" * levels + "}"


def nested_list_literal(levels: int) -> str:
    return "{homeVisits(filter:{ids:" + "[" * levels + "]" * levels + "}){nodes{id}}}"


def nested_object_literal(levels: int) -> str:
    return "{homeVisits(filter:" + "{ids:" * levels + "1" + "}" * levels + "){nodes{id}}}"


def nested_variable_type(levels: int) -> str:
    return "query($ids:" + "[" * levels + "ID" + "]" * levels + "){viewer{subject}}"


def fragment_bomb(fragments: int, core: str = "subject") -> str:
    """Each fragment spreads the next one twice: 2 to the power of `fragments`, spread out."""
    spread = [f"fragment F{n} on Viewer{{...F{n + 1} ...F{n + 1}}}" for n in range(fragments)]
    return "{viewer{...F0}}" + " ".join(spread) + f" fragment F{fragments} on Viewer{{{core}}}"


def fragment_ladder(fragments: int) -> str:
    """Each fragment nests the next one under a field: as deep as there are fragments."""
    rungs = [f"fragment F{n} on Viewer{{viewer{{...F{n + 1}}}}}" for n in range(fragments)]
    return "{viewer{...F0}}" + " ".join(rungs) + f" fragment F{fragments} on Viewer{{subject}}"


def fragment_chain(fragments: int) -> str:
    chain = [f"fragment F{n} on Viewer{{...F{n + 1}}}" for n in range(fragments)]
    return "{viewer{...F0}}" + " ".join(chain) + f" fragment F{fragments} on Viewer{{subject}}"


def fragment_cycle(fragments: int) -> str:
    cycle = [f"fragment F{n} on Viewer{{subject ...F{(n + 1) % fragments}}}" for n in range(fragments)]
    return "{viewer{...F0}}" + " ".join(cycle)


def fragment_clique(fragments: int) -> str:
    everyone = " ".join(f"...F{n}" for n in range(fragments))
    return "{viewer{...F0}}" + " ".join(f"fragment F{n} on Viewer{{{everyone}}}" for n in range(fragments))


def unused_fragments(fragments: int, fields: int) -> str:
    unused = [f"fragment F{n} on Viewer{{{'subject ' * fields}}}" for n in range(fragments)]
    return "{viewer{subject}}" + " ".join(unused)


def unknown_fragments(spreads: int) -> str:
    return "{viewer{" + " ".join(f"...F{n}" for n in range(spreads)) + "}}"


def same_field(times: int) -> str:
    return "{viewer{" + "subject " * times + "}}"


def same_name_fragments(times: int) -> str:
    return "{viewer{...F}}" + " fragment F on Viewer{subject}" * times


def aliases(times: int, field: str = "subject") -> str:
    return "{viewer{" + " ".join(f"a{n}:{field}" for n in range(times)) + "}}"


def root_fields(times: int) -> str:
    return "{" + "viewer{subject} " * times + "}"


def mutations(times: int) -> str:
    return "mutation{" + "cancelHomeVisit(input:{id:1}){__typename} " * times + "}"


def operations(times: int) -> str:
    return " ".join(f"query Q{n}{{viewer{{subject}}}}" for n in range(times))


def directives(times: int) -> str:
    return "{viewer{subject" + " @include(if:true)" * times + "}}"


def unknown_directives(times: int) -> str:
    return "{viewer{subject" + " @a" * times + "}}"


def full_pages(levels: int, first: str = "100") -> str:
    """Visits of the locations of visits of …: the product of the pages."""
    return "{" + f"homeVisits(first:{first}){{nodes{{location{{" * levels + "id" + "}}}" * levels + "}"


def wide_object_literal(fields: int) -> str:
    return "{homeVisits(filter:{" + " ".join(f"x{n}:1" for n in range(fields)) + "}){nodes{id}}}"


def wide_list_literal(values: int) -> str:
    return "{homeVisits(filter:{ids:[" + "1.5 " * values + "]}){nodes{id}}}"


def undefined_variables(times: int) -> str:
    return "{homeVisits(filter:{ids:[" + " ".join(f"$v{n}" for n in range(times)) + "]}){nodes{id}}}"


def unused_variables(times: int) -> str:
    return "query(" + " ".join(f"$v{n}:Int" for n in range(times)) + "){viewer{subject}}"


def giant_number(digits: int) -> str:
    return "{homeVisits(first:" + "9" * digits + "){nodes{id}}}"


def giant_string(characters: int) -> str:
    return '{homeVisits(filter:{keyword:"' + "a" * characters + '"}){nodes{id}}}'


def comments(times: int) -> str:
    return "#\n" * times + "{viewer{subject}}"


def introspection_bomb(levels: int) -> str:
    return "{__schema{types{" + "fields{type{" * levels + "name" + "}}" * levels + "}}}"


def introspection_aliases(times: int) -> str:
    fields = "fields{args{type{ofType{name}}} type{ofType{name}}}"
    return "{__schema{" + " ".join(f"a{n}:types{{{fields}}}" for n in range(times)) + "}}"


def introspection_in_fragments(fragments: int) -> str:
    chain = [f"fragment F{n} on __Type{{fields{{type{{...F{n + 1}}}}}}}" for n in range(fragments)]
    return "{__schema{types{...F0}}}" + " ".join(chain) + f" fragment F{fragments} on __Type{{name}}"


def _too_complex(name: str, limit: str, make: Callable[..., str], *sizes: object) -> Hostile:
    return Hostile(name, make(*sizes), TOO_COMPLEX, limit)


CORPUS = (
    Hostile("all opening braces", "{" * 2_000, PARSE_FAILED),
    Hostile("fields without end", "{a" * 1_000, PARSE_FAILED),
    Hostile("list without end", "{a(b:" + "[" * 1_990, PARSE_FAILED),
    Hostile("objects without end", "{a(b:" + "{a:" * 660, PARSE_FAILED),
    Hostile("types without end", "query($a:" + "[" * 1_990, PARSE_FAILED),
    Hostile("fields nested 600 deep", nested_fields(600), PARSE_FAILED),
    Hostile("inline fragments nested 400 deep", nested_inline_fragments(400), PARSE_FAILED),
    Hostile("list literal nested 900 deep", nested_list_literal(900), PARSE_FAILED),
    Hostile("object literal nested 400 deep", nested_object_literal(400), PARSE_FAILED),
    Hostile("variable type nested 900 deep", nested_variable_type(900), PARSE_FAILED),
    Hostile("nothing", "", PARSE_FAILED),
    Hostile("nothing but commas", "," * 20_000, PARSE_FAILED),
    Hostile("NUL", "{viewer{subject\0}}", PARSE_FAILED),
    Hostile("lone surrogate", '{homeVisits(filter:{keyword:"\ud800"}){nodes{id}}}', PARSE_FAILED),
    Hostile("escaped lone surrogate", '{homeVisits(filter:{keyword:"\\ud800"}){nodes{id}}}', PARSE_FAILED),
    Hostile("escape beyond Unicode", '{homeVisits(filter:{keyword:"\\u{ffffffffffff}"}){nodes{id}}}', PARSE_FAILED),
    _too_complex("20,001 characters", "characters", giant_string, 19_957),
    _too_complex("a megabyte of braces", "characters", lambda: "{" * 1_000_000),
    _too_complex("2,001 closed lists", "tokens", lambda: "{a(b:[" + "[]" * 998 + "])}"),
    _too_complex("fields nested 190 deep", "depth", nested_fields, 190),
    _too_complex("fields nested through fragments", "depth", fragment_ladder, 100),
    _too_complex("fragment bomb of 15", "fields", fragment_bomb, 15),
    _too_complex("fragment bomb of 100", "fields", fragment_bomb, 100),
    _too_complex("fragment bomb of pages", "fields", fragment_bomb, 60, "locations{homeVisits(first:$n){nodes{id}}}"),
    _too_complex("fragment bomb of directives", "directives", fragment_bomb, 60, "...@include(if:true){__typename}"),
    _too_complex("fragment bomb of aliases", "aliases", fragment_bomb, 60, "a:subject"),
    _too_complex("500 duplicate fields", "fields", same_field, 500),
    _too_complex("duplicate fields in an unused fragment", "fields", unused_fragments, 1, 900),
    _too_complex("500 aliases", "aliases", aliases, 500),
    _too_complex("100 roots", "root_fields", root_fields, 100),
    _too_complex("100 mutations", "mutation_root_fields", mutations, 100),
    _too_complex("100 operations", "operations", operations, 100),
    _too_complex("250 directives", "directives", directives, 250),
    _too_complex("900 unknown directives", "directives", unknown_directives, 900),
    _too_complex("pages of 100 in pages of 100", "cost", full_pages, 2),
    _too_complex("pages of absurd size", "cost", full_pages, 3, "99999999999999999999"),
    _too_complex("introspection in a circle", "introspection_cost", introspection_bomb, 3),
    _too_complex("introspection in a longer circle", "introspection_cost", introspection_bomb, 60),
    _too_complex("introspection in a circle of fragments", "introspection_cost", introspection_in_fragments, 60),
    _too_complex("introspection by 20 aliases", "introspection_cost", introspection_aliases, 20),
    Hostile("fragment bomb of nothing", fragment_bomb(120, core="")),
    Hostile("fragment chain of 190", fragment_chain(190)),
    Hostile("fragment cycle of 200", fragment_cycle(200)),
    Hostile("fragment that spreads itself", fragment_cycle(1)),
    Hostile("fragments that all spread each other", fragment_clique(29)),
    Hostile("unused fragments full of one field", unused_fragments(5, 380), "QUERY_TOO_COMPLEX", "fields"),
    Hostile("280 unused fragments", unused_fragments(280, 1)),
    Hostile("280 fragments of one name", same_name_fragments(280)),
    Hostile("990 unknown fragments", unknown_fragments(990)),
    Hostile("inline fragments nested 190 deep", nested_inline_fragments(190)),
    Hostile("list literal nested 190 deep", nested_list_literal(190)),
    Hostile("object literal nested 190 deep", nested_object_literal(190)),
    Hostile("variable type nested 190 deep", nested_variable_type(190)),
    Hostile("640 unknown input fields", wide_object_literal(640)),
    Hostile("1,900 values of the wrong type", wide_list_literal(1_900)),
    Hostile("950 undefined variables", undefined_variables(950)),
    Hostile("480 unused variables", unused_variables(480)),
    Hostile("page of 19,000 digits", giant_number(19_000)),
    Hostile("page of minus 19,000 digits", giant_number(18_999).replace("9", "-9", 1)),
    Hostile("field name of 19,000 characters", "{" + "a" * 19_000 + "}"),
    Hostile("keyword of 19,900 characters", giant_string(19_900)),
    Hostile("9,990 comments", comments(9_990)),
    Hostile("type definitions", " ".join(f"type T{n}{{a:Int}}" for n in range(280))),
    Hostile("selections of nothing", "{viewer{}}"),
)
