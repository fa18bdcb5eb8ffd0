// Asks twice through Apollo's link or urql's exchange for persisted queries, and prints the answers and what was sent for them.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql as apolloGql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { Client, fetchExchange, gql as urqlGql } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";
import { createHash } from "node:crypto";

const { HOME_VISITS_URL } = process.env;
const QUERY = `{
  __typename
}`; // as both print it
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

const requests = [];
async function recordingFetch(url, options) {
  const parameters = options.method === "GET" ? Object.fromEntries(new URL(url).searchParams) : JSON.parse(options.body);
  const { query, extensions = {} } = parameters;
  const { persistedQuery } = typeof extensions === "string" ? JSON.parse(extensions) : extensions;
  requests.push([options.method, query && "text", persistedQuery && "hash"].filter(Boolean).join(" "));
  return fetch(url, options);
}

async function askApollo() {
  const persisted = new PersistedQueryLink({ sha256 });
  const link = ApolloLink.from([persisted, new HttpLink({ uri: HOME_VISITS_URL, fetch: recordingFetch })]);
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  const query = apolloGql(QUERY);
  return () => client.query({ query, fetchPolicy: "no-cache" }).then(({ data }) => data);
}

async function askUrql(options) {
  const exchanges = [persistedExchange(options), fetchExchange];
  const client = new Client({ url: HOME_VISITS_URL, exchanges, fetch: recordingFetch, preferGetMethod: false });
  const query = urqlGql(QUERY);
  return async () => {
    const { data, error } = await client.query(query, {}, { requestPolicy: "network-only" });
    if (error) throw error;
    return data;
  };
}

const clients = {
  apollo: () => askApollo(),
  urql: () => askUrql({ preferGetForPersistedQueries: false }), // only documents that are stored are answered by GET
  "urql-by-get": () => askUrql({}),
};
const ask = await clients[process.argv[2]]();
const answers = [await ask(), await ask()];
console.log(JSON.stringify({ answers, requests }));
