// What the explorer keeps: tabs, theme and history with the browser; headers, a token above all, end with the browser's tab.

const OURS = "graphiql:";
const TABS = "graphiql:tabState";
const HEADERS = "explorer:headers";
const BEGIN_AGAIN = "explorer:begin-again";

// Stands in for the browser's storage where that is blocked: what is kept ends with the page.
class Memory {
  #values = new Map();
  get length() {
    return this.#values.size;
  }
  key = (index) => [...this.#values.keys()][index] ?? null;
  getItem = (name) => this.#values.get(name) ?? null;
  setItem = (name, value) => this.#values.set(name, value);
  removeItem = (name) => this.#values.delete(name);
}

const ofTheBrowser = openStorage("localStorage");
const ofTheTab = openStorage("sessionStorage");

// GraphiQL's history has the headers of each request. What other applications of this origin keep is not ours to count or to clear.
export const storage = {
  get length() {
    return ourNames().length;
  },
  getItem: (name) => ofTheBrowser.getItem(name),
  removeItem: (name) => ofTheBrowser.removeItem(name),
  clear() {
    ourNames().forEach((name) => ofTheBrowser.removeItem(name));
    ofTheTab.removeItem(HEADERS);
  },
  setItem(name, value) {
    if (name !== "graphiql:headers") ofTheBrowser.setItem(name, withoutHeaders(value));
  },
};

export const keptHeaders = () => ofTheTab.getItem(HEADERS) ?? "";
export const keepHeaders = (headers) => ofTheTab.setItem(HEADERS, headers);

// The tabs of last time; after `beginAgain` those among them that are no examples, to come behind new ones.
export function keptTabs(exampleNames) {
  const { tabs = [], activeTabIndex } = parsed(ofTheBrowser.getItem(TABS)) ?? {};
  if (ofTheTab.getItem(BEGIN_AGAIN) === null) return { tabs, active: tabs[activeTabIndex] ?? tabs[0] };

  ofTheTab.removeItem(BEGIN_AGAIN);
  ofTheBrowser.removeItem(TABS);
  return { own: tabs.filter(({ title }) => !exampleNames.includes(title)).map(({ query, variables }) => ({ query, variables })) };
}

export function beginAgain() {
  ofTheTab.setItem(BEGIN_AGAIN, "");
  location.reload();
}

// What the address brings is opened once: a reload must not bring it again.
export function linkedOperation() {
  const { query, variables, operationName } = inAddress();
  if (!query) return null;
  history.replaceState(null, "", location.pathname);
  return { query, variables: variables ?? "", operationName };
}

// Where the page is open already, only what stands behind # changes, and the browser loads nothing.
export function followLinks() {
  addEventListener("hashchange", () => {
    if (inAddress().query) location.reload();
  });
}

// What stands behind # is never sent, so that no log has the variables.
export function linkTo(operation) {
  const present = Object.entries(operation).filter(([, value]) => value);
  return `${location.origin}${location.pathname}#${new URLSearchParams(present)}`;
}

function inAddress() {
  const parts = [location.hash, location.search].map((part) => Object.fromEntries(new URLSearchParams(part.slice(1))));
  return parts.find(({ query }) => query) ?? {};
}

function openStorage(name) {
  try {
    return window[name] ?? new Memory();
  } catch {
    return new Memory();
  }
}

function ourNames() {
  const names = Array.from({ length: ofTheBrowser.length }, (_, index) => ofTheBrowser.key(index));
  return names.filter((name) => name.startsWith(OURS));
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
