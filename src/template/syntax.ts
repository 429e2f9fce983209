import type { Span } from "./source.ts";

/** A step after a term: `.name`, `[key]`, `.0`, and the splats, which take all further steps with them. */
export type Step =
  | { kind: "attribute"; name: string; span: Span }
  | { kind: "index"; key: Expression; span: Span }
  | { kind: "splat"; steps: Step[]; span: Span };

export interface ObjectItem {
  key: Expression;
  value: Expression;
}

/** An expression with the span of its source text. The same for native syntax and JSON. */
export type Expression = { span: Span } & (
  | { kind: "string"; value: string }
  | { kind: "number"; text: string }
  | { kind: "bool"; value: boolean }
  | { kind: "null" }
  | { kind: "reference"; name: string }
  | { kind: "steps"; from: Expression; steps: Step[] }
  | { kind: "call"; name: string; args: Expression[] }
  | { kind: "parentheses"; inner: Expression }
  | { kind: "unary"; operator: "-" | "!"; operand: Expression }
  | { kind: "binary"; operator: string; left: Expression; right: Expression }
  | { kind: "conditional"; condition: Expression; yes: Expression; no: Expression }
  | { kind: "tuple"; items: Expression[] }
  /** `unique`: from JSON, where a name that comes twice is an error. */
  | { kind: "object"; items: ObjectItem[]; unique: boolean }
  | ({ kind: "for" } & ForParts)
  /** Text with sequences; a template that is one interpolation and nothing else is its `inner` alone. */
  | { kind: "template"; parts: Expression[] }
  /** `%{ for }` inside a template: the texts of all rounds, joined. */
  | { kind: "join"; loop: Expression }
  | { kind: "wrap"; inner: Expression }
  /** What could not be parsed; a diagnostic says why. */
  | { kind: "broken" }
);

export interface ForParts {
  keyName: string | undefined;
  valueName: string;
  collection: Expression;
  /** Set: the result is an object. */
  key: Expression | undefined;
  value: Expression;
  condition: Expression | undefined;
  /** Set: values with the same key are gathered in a tuple. */
  ellipsis: Span | undefined;
}

export interface Attribute {
  name: string;
  nameSpan: Span;
  value: Expression;
}

export interface Block {
  type: string;
  typeSpan: Span;
  labels: string[];
  labelSpans: Span[];
  /** Where the block begins: its type in native syntax, the bracket of its content in JSON. */
  at: number;
  openSpan: Span;
  body: Body;
}

/** A body of native syntax, or a JSON value that is read as one when somebody says which content it should have. */
export type Body =
  | { kind: "native"; attributes: Map<string, Attribute>; blocks: Block[] }
  | { kind: "json"; value: Expression };
