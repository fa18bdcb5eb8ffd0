import { GlobalRegistrator } from "@happy-dom/global-registrator";

// A browser's document for React to draw in, at once when told to act. Node.js's own fetch stays.
const { fetch } = globalThis;
GlobalRegistrator.register();
Object.assign(globalThis, { fetch, IS_REACT_ACT_ENVIRONMENT: true });
