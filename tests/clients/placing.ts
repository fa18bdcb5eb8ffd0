// Where a visit that was changed belongs in a list that a cache keeps.

interface Row {
  id: string;
  dateTime: string;
}

interface Visit extends Row {
  status: string;
  location: { id: string };
}

/** What a list was asked for, as a cache has it. */
export interface ListArguments {
  filter?: Record<string, unknown> | null;
  orderBy?: unknown;
}

const BY_TIME = JSON.stringify([{ field: "DATE_TIME" }]);

/** Whether a list has a visit; undefined where its filter or its order is one that only the gateway can apply. */
export function belongs({ location, status, dateTime }: Visit, { filter, orderBy }: ListArguments): boolean | undefined {
  const { location: locations, status: statuses, startDate, ...others } = filter ?? {};
  if (JSON.stringify(orderBy) !== BY_TIME || Object.values(others).some((condition) => condition != null)) return undefined;
  const isOneOf = (value: string, values: unknown) => values == null || (values as string[]).includes(value);
  return isOneOf(location.id, locations) && isOneOf(status, statuses) && (startDate == null || dateTime >= String(startDate));
}

/** The edges of a list, each once and by time, with the visit's or without it. One beyond the pages that are there comes with the next. */
export function placed<Edge>(
  edges: readonly Edge[],
  edge: Edge,
  isListed: boolean,
  { hasPreviousPage, hasNextPage }: { hasPreviousPage: boolean; hasNextPage: boolean },
  rowOf: (edge: Edge) => Row,
): Edge[] {
  const each = new Map([...edges, edge].map((one) => [rowOf(one).id, one]));
  const sorted = [...each.values()].sort((one, other) => compare(rowOf(one), rowOf(other)));
  const isBeyond = (sorted[0] === edge && hasPreviousPage) || (sorted.at(-1) === edge && hasNextPage);
  return isListed && !isBeyond ? sorted : sorted.filter((one) => one !== edge);
}

function compare(one: Row, other: Row): number {
  return Date.parse(one.dateTime) - Date.parse(other.dateTime) || (one.id < other.id ? -1 : 1);
}
