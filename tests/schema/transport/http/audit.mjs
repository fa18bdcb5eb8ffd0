// Runs the server audits of npm's graphql-http against the URL given, and prints their results as JSON.
import { createRequire } from 'node:module';

const [, , url, modules] = process.argv;
const { auditServer } = createRequire(`${modules}/`)('graphql-http');

const results = await auditServer({ url });
console.log(JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
