import { GlobalRegistrator } from "@happy-dom/global-registrator";

// A browser's document for React to draw in, at once when told to act, of a page that may open WebSockets. Node.js's own fetch stays.
const { fetch } = globalThis;
GlobalRegistrator.register({ url: process.env["HOME_VISITS_URL"] ?? "http://127.0.0.1:8080/graphql" });
Object.assign(globalThis, { fetch, IS_REACT_ACT_ENVIRONMENT: true });
