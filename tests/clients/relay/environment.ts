import type { Sink } from "graphql-ws";
import { Environment, Network, Observable, RecordSource, Store } from "relay-runtime";
import type { FetchFunction, GraphQLResponse, SubscribeFunction } from "relay-runtime";
import { subscribe } from "./follow";

const { HOME_VISITS_URL = "http://127.0.0.1:8080/graphql", HOME_VISITS_TOKEN } = process.env;

const headers = {
  "content-type": "application/json",
  accept: "application/graphql-response+json",
  ...(HOME_VISITS_TOKEN && { authorization: `Bearer ${HOME_VISITS_TOKEN}` }),
};

const send: FetchFunction = async ({ text: query }, variables) => {
  const body = JSON.stringify({ query, variables });
  const response = await fetch(HOME_VISITS_URL, { method: "POST", headers, body });
  return response.json();
};

const listen: SubscribeFunction = ({ text }, variables) =>
  Observable.create<GraphQLResponse>((sink) => subscribe({ query: text ?? "", variables }, sink as Sink));

export function createEnvironment(): Environment {
  return new Environment({ network: Network.create(send, listen), store: new Store(new RecordSource()) });
}

/** What the gateway said when it refused a request as a whole: Relay keeps it beside its own words. */
export function explain(error: unknown): string {
  const { source } = error as { source?: { errors?: { message: string }[] } };
  return source?.errors?.[0]?.message ?? String(error);
}
