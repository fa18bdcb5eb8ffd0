import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: "{.,../../../schema}/schema.graphql", // beside this file, or in a checkout
  documents: "src/**/*.{ts,tsx}",
  ignoreNoDocuments: true,
  generates: {
    "src/generated/": {
      preset: "client",
      presetConfig: { fragmentMasking: false },
      config: {
        useTypeImports: true,
        enumsAsTypes: true,
        scalars: { ID: "string", Date: "string", DateTime: "string", TimeZone: "string" },
      },
    },
  },
};

export default config;
