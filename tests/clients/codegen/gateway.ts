import type { TypedDocumentString } from "./generated/graphql";

const { HOME_VISITS_URL = "http://127.0.0.1:8080/graphql", HOME_VISITS_TOKEN } = process.env;

const headers = {
  "content-type": "application/json",
  accept: "application/graphql-response+json",
  ...(HOME_VISITS_TOKEN && { authorization: `Bearer ${HOME_VISITS_TOKEN}` }),
};

type Answer<Data> = { data?: Data | null; errors?: { message: string }[] };

/** Sends a document with its variables, both typed, and returns its typed answer. */
export async function execute<Data, Variables>(document: TypedDocumentString<Data, Variables>, variables: Variables): Promise<Data> {
  const body = JSON.stringify({ query: document, variables });
  const response = await fetch(HOME_VISITS_URL, { method: "POST", headers, body });
  const { data, errors } = (await response.json()) as Answer<Data>;
  if (errors || !data) throw new Error(errors?.[0]?.message ?? `The gateway answered ${response.status}.`);
  return data;
}
