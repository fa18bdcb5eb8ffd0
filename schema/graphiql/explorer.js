// Mounts GraphiQL: tabs with examples, headers shared by all tabs, and a plain word where the schema is not shown.

import { exampleTabs } from "./examples.js";
import { isSubscription, subscribe } from "./subscriptions.js";

const page = document.getElementById("explorer");
const notice = document.getElementById("notice");

// What is typed, a token above all, ends with the browser's tab.
const storage = window.sessionStorage;

if (window.GraphiQL && window.GraphiQLPluginExplorer) {
  await mount();
} else {
  page.firstElementChild.textContent =
    "GraphiQL could not be loaded. For a copy on the server, install Node.js there, run “python -m schema.graphiql” and restart.";
}

async function mount() {
  const { React, ReactDOM, GraphiQL, GraphiQLPluginExplorer } = window;
  const kept = JSON.parse(storage.getItem("graphiql:tabState"));
  const tabs = kept ? kept.tabs : await exampleTabs();
  const active = tabs[kept ? kept.activeTabIndex : 0];

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
      // Told what the active tab holds, GraphiQL finds it again; left to itself, it may open one more at a reload.
      query: active.query,
      variables: active.variables ?? "",
      headers: active.headers ?? "",
      shouldPersistHeaders: true,
      showPersistHeadersSettings: false,
      defaultEditorToolsVisibility: true,
      plugins: [GraphiQLPluginExplorer.explorerPlugin()],
      toolbar: { additionalComponent: Additions },
      inputValueDeprecation: true,
      schemaDescription: true,
    },
    React.createElement(GraphiQL.Logo, null, "Home visits"),
  );
  ReactDOM.createRoot(page).render(explorer);
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
  useSharedHeaders();
  useWrappedLines();
  return null;
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
      if (change.origin === "setValue") return;
      headers.current = editor.getValue();
      clearTimeout(retry.current);
      if (!schema) retry.current = setTimeout(introspect, 800);
    };
    headerEditor?.on("change", onChange);
    return () => headerEditor?.off("change", onChange);
  }, [headerEditor, schema, introspect]);

  useEffect(() => headerEditor?.setValue(headers.current), [headerEditor, tabs[activeTabIndex].id]);
}

function useWrappedLines() {
  const { useEffect } = window.React;
  const { queryEditor, variableEditor, headerEditor } = window.GraphiQL.React.useEditorContext({ nonNull: true });

  useEffect(() => {
    for (const editor of [queryEditor, variableEditor, headerEditor]) editor?.setOption("lineWrapping", true);
  }, [queryEditor, variableEditor, headerEditor]);
}
