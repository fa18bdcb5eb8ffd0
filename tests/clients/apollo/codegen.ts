import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: "{.,../../../schema}/schema.graphql", // beside this file, or in a checkout
  documents: "{.,..}/{visits,changes}.graphql",
  generates: {
    "generated/": {
      preset: "client",
      presetConfig: { fragmentMasking: false },
      config: {
        useTypeImports: true,
        scalars: { ID: "string", Date: "string", DateTime: "string", TimeZone: "string" },
      },
    },
    // Which types a `... on UserError` can meet: the cache needs to know.
    "generated/possible-types.ts": { plugins: ["fragment-matcher"] },
  },
};

export default config;
