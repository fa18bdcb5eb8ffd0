// What GraphiQL 3 lacks for a keyboard and a screen reader: names, roles, and a way out of its editors.

const keys = document.getElementById("keys");
const container = document.getElementById("explorer");
const INDENTS = "In an editor, Tab indents. Esc, then Tab, leaves it; Ctrl-M lets Tab always leave. Ctrl-K searches the docs.";
const LEAVES = "Tab leaves an editor; Ctrl-M lets it indent. Ctrl-K searches the docs.";

let tabLeaves = false;

// Where CodeMirror holds the key Tab, nobody gets out by keyboard. `false` leaves it to the browser.
export function letOut(editor, name) {
  const leaving = { Tab: false, "Shift-Tab": false };
  const set = (leaves) => {
    editor.removeKeyMap(leaving);
    if (leaves || tabLeaves || editor.getOption("readOnly")) editor.addKeyMap(leaving);
  };
  editor.addKeyMap({ Esc: () => set(true), "Ctrl-M": () => set((tabLeaves = toggled())) });
  editor.on("change", () => set(false));
  editor.on("focus", () => set(false));
  editor.setOption("screenReaderLabel", name);
  editor.getInputField().setAttribute("aria-describedby", keys.id);
  stopOnce(editor);
  set(false);
}

function toggled() {
  keys.textContent = tabLeaves ? INDENTS : LEAVES;
  return !tabLeaves;
}

// A region that scrolls is a stop for the key Tab; an editor is one stop, not two: the region's focus is the text's.
function stopOnce(editor) {
  const region = editor.getScrollerElement();
  const rest = () => {
    region.tabIndex = 0;
    editor.getInputField().tabIndex = -1;
  };
  region.addEventListener("focus", () => editor.focus());
  editor.on("focus", () => {
    region.tabIndex = -1;
  });
  editor.on("blur", rest);
  if (!editor.hasFocus()) rest();
}

// GraphiQL has Ctrl-K for Macs alone, and only while the docs are open. `toTop` goes to their first page, which has the search.
export function searchDocs(toTop) {
  addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "k" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      // The key's end would have the editor propose words.
      document.activeElement.blur();
      container.querySelector("button[aria-label='Show Documentation Explorer']")?.click();
      toTop();
      requestAnimationFrame(() => container.querySelector(".graphiql-doc-explorer-search-input input")?.focus());
    },
    { capture: true },
  );
}

// React writes what it knows of; whatever it writes is looked at once before it is shown.
export function watch() {
  let due = false;
  const look = () => {
    due = false;
    mend();
  };
  const observer = new MutationObserver(() => {
    if (!due) requestAnimationFrame(look);
    due = true;
  });
  observer.observe(container, { childList: true, subtree: true, attributeFilter: ["aria-label", "aria-selected", "role", "viewBox"] });
  container.addEventListener("keydown", clickByKey);
  keys.textContent = INDENTS;
}

function mend() {
  mendTabs();
  nameFields();
  mendBuilder();
  for (const item of all(".graphiql-history-item-label[aria-label]")) item.removeAttribute("aria-label");
}

// Buttons side by side, which is how they are used: a tablist has no room for what closes a tab or opens one.
function mendTabs() {
  all(".graphiql-tabs").forEach((tabs) => set(tabs, "role", "group"));
  for (const tab of all(".graphiql-tab")) {
    set(tab, "role", "none");
    tab.removeAttribute("aria-selected");
    const [button, close] = tab.querySelectorAll("button");
    set(button, "aria-current", tab.classList.contains("graphiql-tab-active"));
    if (close) set(close, "aria-label", `Close ${button.textContent}`);
  }
}

function nameFields() {
  for (const field of all(".graphiql-explorer-root :is(input, select):not([aria-label])")) {
    const argument = field.closest("[data-arg-name]");
    set(field, "aria-label", argument?.dataset.argName ?? (field.form ? "Kind of operation" : "Name of the operation"));
  }
  for (const button of all(".graphiql-explorer-root button:not([aria-label])")) {
    const words = { "+": "Add the operation", "✕": "Remove the operation", "⎘": "Copy the operation", "$": "Make it a variable" };
    const label = words[button.textContent] ?? button.title;
    if (label) set(button, "aria-label", label);
  }
  for (const proposals of all(".CodeMirror-hints")) {
    set(proposals, "aria-label", "Proposals");
    set(proposals, "tabindex", 0); // it scrolls
  }
  all(".graphiql-doc-explorer-search-input input").forEach((input) => set(input, "aria-label", "Search the docs"));
}

// The builder's fields and arguments are texts to be clicked, with buttons in them: its sign is what a keyboard finds.
function mendBuilder() {
  for (const sign of all(".graphiql-explorer-root span[style*='cursor: pointer'] svg")) {
    const named = sign.closest("[data-field-name], [data-arg-name]");
    const on = sign.matches("[viewBox='0 -4 13 15'], :has(path[stroke='white'])");
    set(sign, "tabindex", 0);
    set(sign, "role", "checkbox");
    set(sign, "aria-checked", on);
    set(sign, "aria-label", named?.dataset.fieldName ?? named?.dataset.argName ?? sign.parentElement.textContent);
  }
}

function clickByKey(event) {
  if (event.target.getAttribute("role") !== "checkbox" || ![" ", "Enter"].includes(event.key)) return;
  event.preventDefault();
  event.target.dispatchEvent(new MouseEvent("click", { bubbles: true }));
}

// Even the same value would be a change to look at.
function set(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function all(selector) {
  return [...container.querySelectorAll(selector)];
}
