import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: "{.,../../../schema}/schema.graphql", // beside this file, or in a checkout
  documents: "{.,..}/{visits,changes}.graphql",
  generates: {
    "generated/": {
      preset: "client",
      presetConfig: { fragmentMasking: false },
      config: {
        documentMode: "string",
        useTypeImports: true,
        scalars: { ID: "string", Date: "string", DateTime: "string", TimeZone: "string" },
      },
    },
  },
};

export default config;
