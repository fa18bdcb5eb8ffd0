import graphql from "@graphql-eslint/eslint-plugin";

const schema = "schema/schema.graphql";
const documents = ["tests/clients/visits.graphql", "tests/clients/changes.graphql"];

const { rules: recommended } = graphql.configs["flat/schema-recommended"];
const { rules: relay } = graphql.configs["flat/schema-relay"];
const { rules: operations } = graphql.configs["flat/operations-recommended"];

const language = {
  plugins: { "@graphql-eslint": graphql },
  languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema, documents } } },
};

const schemaRules = {
  ...recommended,
  ...relay,

  // Every word of the API says what it means, in the docs pane of the explorer and in the editor of whoever generates a client.
  "@graphql-eslint/require-description": [
    "error",
    {
      types: true,
      rootField: true,
      DirectiveDefinition: true,
      EnumValueDefinition: true,
      FieldDefinition: true,
      InputValueDefinition: true,
    },
  ],

  // Every mutation takes one `input` of a type named after it, so that arguments can be added without breaking a client.
  "@graphql-eslint/input-name": ["error", { checkInputType: true, caseSensitiveInputType: false }],
  "@graphql-eslint/no-scalar-result-type-on-mutation": "error",

  // What is deprecated says until when, and why.
  "@graphql-eslint/require-deprecation-date": "error",

  // Lists other than of edges are wanted: `nodes` for clients that need no cursors, and short lists that are never paged.
  "@graphql-eslint/relay-edge-types": ["error", { withEdgeSuffix: true, shouldImplementNode: true, listTypeCanWrapOnlyEdgeType: false }],

  // What can be fetched again has an `id`; these are values, part of the object or the answer that holds them.
  "@graphql-eslint/strict-id-in-types": [
    "error",
    {
      exceptions: {
        types: ["CareSeeker", "FieldChange", "HomeVisitCount", "InputProblem", "PageInfo", "Source", "Viewer"],
        suffixes: ["Connection", "Edge", "Success", "Error"],
      },
    },
  ],

  "no-restricted-syntax": [
    "error",
    {
      selector: "ObjectTypeDefinition[name.value=Mutation] > FieldDefinition[gqlType.kind=NonNullType]",
      message: "A mutation is nullable, so that its failure does not take the answers of the others with it.",
    },
    {
      selector: "ObjectTypeDefinition[name.value=Mutation] > FieldDefinition:not([gqlType.name.value=/Result$/])",
      message: "A mutation answers a union named `…Result`: its success, or the reasons for a refusal.",
    },
    {
      selector: "ObjectTypeDefinition[name.value=/Error$/]:not([interfaces.0.name.value=UserError])",
      message: "A refusal implements `UserError`, so that a client can show what was added after it was built.",
    },
    {
      selector: "FieldDefinition > ListType[gqlType.kind=NamedType], FieldDefinition > NonNullType > ListType[gqlType.kind=NamedType]",
      message: "A list in an answer has no null in it.",
    },
  ],
};

export default [
  { ...language, files: [schema], rules: schemaRules },
  { ...language, files: documents, rules: operations },
];
