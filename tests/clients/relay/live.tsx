import "./document";
import { createRoot } from "react-dom/client";
import { Suspense } from "react";
import { RelayEnvironmentProvider } from "react-relay";
import { changesFilter, filter, live } from "../live";
import { createEnvironment } from "./environment";
import { follow, newestChange } from "./changes";
import { VisitsList } from "./VisitsList";

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: false }); // what comes is drawn as it comes

const environment = createEnvironment();
const rows = () => Array.from(document.querySelectorAll("li"), (row) => row.textContent ?? "");
let after: string | null | undefined;

await live({
  async open() {
    after = await newestChange(environment);
    createRoot(document.body).render(
      <RelayEnvironmentProvider environment={environment}>
        <Suspense fallback="Loading">
          <VisitsList filter={filter} first={100} />
        </Suspense>
      </RelayEnvironmentProvider>,
    );
    while (rows().length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  },

  follow: (onChange) => follow(environment, { filter: changesFilter, after }, [filter], onChange),
  rows,
});
