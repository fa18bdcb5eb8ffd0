// What the explorer keeps: tabs, theme and history with the browser; headers, a token above all, end with the browser's tab.

const TABS = "graphiql:tabState";
const HEADERS = "explorer:headers";
const BEGIN_AGAIN = "explorer:begin-again";
// Longer ones are refused before they reach the page: what stands behind # is not sent.
const LONGEST_QUERY_STRING = 6_000;

// GraphiQL's history has the headers of each request.
export const storage = {
  get length() {
    return localStorage.length;
  },
  getItem: (name) => localStorage.getItem(name),
  removeItem: (name) => localStorage.removeItem(name),
  clear: () => localStorage.clear(),
  setItem(name, value) {
    if (name !== "graphiql:headers") localStorage.setItem(name, withoutHeaders(value));
  },
};

export const keptHeaders = () => sessionStorage.getItem(HEADERS) ?? "";
export const keepHeaders = (headers) => sessionStorage.setItem(HEADERS, headers);

// The tabs of last time; after `beginAgain` those among them that are no examples, to come behind new ones.
export function keptTabs(exampleNames) {
  const { tabs = [], activeTabIndex } = parsed(localStorage.getItem(TABS)) ?? {};
  if (sessionStorage.getItem(BEGIN_AGAIN) === null) return { tabs, active: tabs[activeTabIndex] ?? tabs[0] };

  sessionStorage.removeItem(BEGIN_AGAIN);
  localStorage.removeItem(TABS);
  return { own: tabs.filter(({ title }) => !exampleNames.includes(title)).map(({ query, variables }) => ({ query, variables })) };
}

export function beginAgain() {
  sessionStorage.setItem(BEGIN_AGAIN, "");
  location.reload();
}

// What the address brings is opened once: a reload must not bring it again.
export function linkedOperation() {
  const behind = location.search.length > 1 ? location.search : location.hash;
  const { query, variables, operationName } = Object.fromEntries(new URLSearchParams(behind.slice(1)));
  if (!query) return null;
  history.replaceState(null, "", location.pathname);
  return { query, variables: variables ?? "", operationName };
}

export function linkTo(operation) {
  const present = Object.entries(operation).filter(([, value]) => value);
  const behind = new URLSearchParams(present).toString();
  return `${location.origin}${location.pathname}${behind.length <= LONGEST_QUERY_STRING ? "?" : "#"}${behind}`;
}

function withoutHeaders(value) {
  return value.includes('"headers"') ? JSON.stringify(parsed(value) ?? "", (name, part) => (name === "headers" ? null : part)) : value;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
