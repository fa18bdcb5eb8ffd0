// Mounts GraphiQL: tabs with examples, headers shared by all tabs, and a plain word where the schema is not shown.

import { letOut, searchDocs, watch } from "./accessibility.js";
import { exampleTabs } from "./examples.js";
import { beginAgain, followLinks, keepHeaders, keptHeaders, keptTabs, linkedOperation, linkTo, storage } from "./kept.js";
import { isSubscription, subscribe } from "./subscriptions.js";

const page = document.getElementById("explorer");
const notice = document.getElementById("notice");
const linked = linkedOperation();

const LINK = "M8 12l4-4M9 6l2-2a3.5 3.5 0 0 1 5 5l-2 2M11 14l-2 2a3.5 3.5 0 0 1-5-5l2-2";
const AGAIN = "M4 10a6 6 0 1 0 2-4.5L4 7M4 3v4h4";

if (window.GraphiQL && window.GraphiQLPluginExplorer) {
  followLinks();
  await mount().catch((error) => {
    page.firstElementChild.textContent = `The explorer cannot start: ${error.message}`;
    throw error;
  });
} else {
  page.firstElementChild.textContent =
    "GraphiQL could not be loaded. For a copy on the server, install Node.js there, run “python -m schema.graphiql” and restart.";
}

async function mount() {
  const { React, ReactDOM, GraphiQL, GraphiQLPluginExplorer } = window;
  const kept = keptTabs(exampleNames());
  const tabs = kept.active ? kept.tabs : [...(linked ? [linked] : []), ...(await exampleTabs()), ...(kept.own ?? [])];
  const active = linked ?? kept.active ?? tabs[0];

  const request = GraphiQL.createFetcher({
    url: location.pathname,
    fetch: ask,
    schemaFetcher: askForSchema,
    enableIncrementalDelivery: false,
  });
  const fetcher = (params, options) =>
    isSubscription(params, options) ? subscribe(params, options.headers) : request(params, options);

  const explorer = React.createElement(
    GraphiQL,
    {
      fetcher,
      storage,
      defaultTabs: tabs,
      defaultQuery: dataBlock("new-tab"),
      // Told what the active tab holds, GraphiQL finds it again; left to itself, it may open one more at a reload.
      query: active.query,
      variables: active.variables ?? "",
      headers: keptHeaders(),
      shouldPersistHeaders: false,
      showPersistHeadersSettings: false,
      defaultEditorToolsVisibility: true,
      plugins: [GraphiQLPluginExplorer.explorerPlugin({ getDefaultScalarArgValue: startingValue })],
      toolbar: { additionalComponent: Additions },
      inputValueDeprecation: true,
      schemaDescription: true,
    },
    React.createElement(GraphiQL.Logo, null, "Home visits"),
  );
  watch();
  ReactDOM.createRoot(page).render(explorer);
}

function dataBlock(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

function exampleNames() {
  return dataBlock("examples").map(({ query }) => /^(?:query|mutation|subscription) (\w+)/m.exec(query)[1]);
}

// What the builder puts in for an argument: nothing where that is valid, else the least that is.
function startingValue(_field, argument, type) {
  const [first] = type.getValues?.() ?? [];
  if (first) return { kind: "EnumValue", value: first.name };
  if (type.name === "Boolean") return { kind: "BooleanValue", value: false };
  if (!String(argument.type).endsWith("!")) return { kind: "NullValue" };
  if (type.name === "Int") return { kind: "IntValue", value: "1" };
  const now = new Date().toISOString();
  const values = { DateTime: `${now.slice(0, 19)}Z`, Date: now.slice(0, 10), TimeZone: "UTC" };
  return { kind: "StringValue", value: values[type.name] ?? "" };
}

async function ask(url, options) {
  try {
    const response = await fetch(url, options);
    return Response.json(await response.json());
  } catch {
    return Response.json({ errors: [{ message: "The server did not answer in JSON. Is it running?" }] });
  }
}

async function askForSchema(params, { headers } = {}) {
  const response = await ask(location.pathname, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(params),
  });
  const answer = await response.json();
  const refusal = answer.errors?.[0].message;
  notice.hidden = !refusal;
  notice.textContent = `The server does not show its schema: ${refusal}
    With a token, type {"Authorization": "Bearer …"} under Headers; docs and completion follow by themselves.`;
  return answer;
}

function Additions() {
  const { React } = window;
  const { ToolbarButton } = window.GraphiQL.React;
  useSharedHeaders();
  useEditors();
  useDocsSearch();
  const copyLink = useCopiedLink();
  const button = (label, shape, onClick) =>
    React.createElement(
      ToolbarButton,
      { label, onClick },
      React.createElement(
        "svg",
        { className: "graphiql-toolbar-icon", viewBox: "0 0 20 20", fill: "none", stroke: "currentColor", "aria-hidden": true },
        React.createElement("path", { d: shape, strokeWidth: 1.5, strokeLinecap: "round", strokeLinejoin: "round" }),
      ),
    );
  return React.createElement(
    React.Fragment,
    null,
    button("Copy a link to this operation", LINK, copyLink),
    button("Begin the examples again", AGAIN, beginAgain),
  );
}

// GraphiQL keeps headers for each tab; a token is typed once. A schema refused without it is asked for again.
function useSharedHeaders() {
  const { useEffect, useRef } = window.React;
  const { useEditorContext, useSchemaContext } = window.GraphiQL.React;
  const { tabs, activeTabIndex, headerEditor, initialHeaders } = useEditorContext({ nonNull: true });
  const { schema, introspect } = useSchemaContext({ nonNull: true });
  const headers = useRef(initialHeaders);
  const retry = useRef();

  useEffect(() => {
    const onChange = (editor, change) => {
      // Not typed: a tab or an entry of the history has brought its own, or the same was laid out anew.
      if (change.origin === "setValue" && !isSame(editor.getValue(), headers.current)) {
        setTimeout(() => editor.setValue(headers.current));
        return;
      }
      if (headers.current === editor.getValue()) return;
      headers.current = editor.getValue();
      keepHeaders(headers.current);
      clearTimeout(retry.current);
      if (!schema) retry.current = setTimeout(introspect, 800);
    };
    headerEditor?.on("change", onChange);
    return () => headerEditor?.off("change", onChange);
  }, [headerEditor, schema, introspect]);

  useEffect(() => headerEditor?.setValue(headers.current), [headerEditor, tabs[activeTabIndex].id]);
}

function isSame(headers, others) {
  return headers.replace(/\s/g, "") === others.replace(/\s/g, "");
}

function useEditors() {
  const { useEffect } = window.React;
  const { queryEditor, variableEditor, headerEditor, responseEditor, setOperationName } =
    window.GraphiQL.React.useEditorContext({ nonNull: true });
  const editors = { "Query editor": queryEditor, Variables: variableEditor, Headers: headerEditor, Answer: responseEditor };

  useEffect(() => {
    for (const [name, editor] of Object.entries(editors)) {
      if (!editor || editor.isMended) continue;
      editor.isMended = true;
      editor.setOption("lineWrapping", true);
      letOut(editor, name);
    }
  }, Object.values(editors));

  useEffect(() => {
    if (queryEditor && linked?.operationName) setOperationName(linked.operationName);
  }, [queryEditor]);
}

function useDocsSearch() {
  const { useEffect, useRef } = window.React;
  const { reset } = window.GraphiQL.React.useExplorerContext({ nonNull: true });
  const toTop = useRef();
  toTop.current = reset;

  useEffect(() => searchDocs(() => toTop.current()), []);
}

function useCopiedLink() {
  const { queryEditor, variableEditor } = window.GraphiQL.React.useEditorContext({ nonNull: true });
  const said = document.getElementById("said");

  return async () => {
    const link = linkTo({
      query: queryEditor.getValue(),
      variables: variableEditor.getValue(),
      operationName: queryEditor.operationName,
    });
    try {
      await navigator.clipboard.writeText(link);
      said.textContent = "The link is copied. It has the variables, and no headers.";
    } catch {
      // Without TLS, browsers keep the clipboard from pages of other machines.
      history.replaceState(null, "", link);
      said.textContent = "The link stands in the address bar.";
    }
  };
}
