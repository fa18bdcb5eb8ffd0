import { createContext, use, useEffect, useRef, useState, type ReactNode } from "react";
import { useQuery, useSubscription, type AnyVariables, type UseQueryArgs } from "urql";
import { graphql } from "./generated";

const NEWEST = graphql(`
  query NewestChange {
    homeVisitEvents(last: 1) {
      pageInfo {
        endCursor
      }
    }
  }
`);

const CHANGES = graphql(`
  subscription VisitChanged($after: String) {
    homeVisitChanged(after: $after) {
      cursor
      node {
        sequence
      }
    }
  }
`);

const PAUSE = 250;

/** Grows with each change that was made to a visit, by whomever. */
const Revision = createContext(0);

/** Asks where to begin, then shows what is on the screen, and follows from there on: no change falls between. */
export function Following({ children }: { children: ReactNode }) {
  const [{ data, error }] = useQuery({ query: NEWEST, requestPolicy: "network-only" });
  const after = data?.homeVisitEvents.pageInfo.endCursor ?? null;
  const [changes] = useSubscription({ query: CHANGES, variables: { after }, pause: !data });
  const revision = useThrottled(changes.data?.homeVisitChanged.node.sequence ?? 0);
  if (!data) return error ? <Failure error={error} /> : <p role="status">Loading…</p>;
  return (
    <Revision value={revision}>
      {changes.error && (
        <p role="alert">What others change is no longer shown here: reload this page. ({changes.error.message})</p>
      )}
      {children}
    </Revision>
  );
}

/** A query of visits that is asked again whenever one was changed. */
export function useLiveQuery<Data, Variables extends AnyVariables>(args: UseQueryArgs<Variables, Data>) {
  const revision = use(Revision);
  const [result, ask] = useQuery({ ...args, context: VISITS });
  useEffect(() => {
    if (revision && !args.pause) ask({ requestPolicy: "network-only" });
  }, [revision]);
  return result;
}

/** Answers that hold no visit now, an empty list or a count, may hold one after a change. */
const VISITS = { additionalTypenames: ["HomeVisit"], requestPolicy: "cache-and-network" as const };

/** The value as it was a moment ago, so that many changes at once are one. */
export function useThrottled<Value>(value: Value): Value {
  const [throttled, setThrottled] = useState(value);
  const newest = useRef(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    newest.current = value;
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      setThrottled(newest.current);
    }, PAUSE);
  }, [value]);
  return throttled;
}

/** Says why the gateway did not answer. */
export function Failure({ error }: { error: { message: string; graphQLErrors: { message: string }[] } }) {
  const { graphQLErrors } = error;
  return (
    <p role="alert" className="failure">
      {graphQLErrors[0]?.message ?? `The gateway cannot be reached. ${error.message}`}
    </p>
  );
}
