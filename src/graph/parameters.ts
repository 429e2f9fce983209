import { create } from "@bufbuild/protobuf";
import {
  ParameterFormType,
  type RichParameter,
  type RichParameterOption,
  RichParameterOptionSchema,
  RichParameterSchema,
} from "../gen/provisioner_pb.ts";
import { Attributes } from "./attributes.ts";
import type { Resource } from "./documents.ts";
import { GraphError } from "./errors.ts";
import type { Template } from "./table.ts";

const formTypes = new Map([
  ["", ParameterFormType.DEFAULT],
  ["error", ParameterFormType.FORM_ERROR],
  ["radio", ParameterFormType.RADIO],
  ["dropdown", ParameterFormType.DROPDOWN],
  ["input", ParameterFormType.INPUT],
  ["textarea", ParameterFormType.TEXTAREA],
  ["slider", ParameterFormType.SLIDER],
  ["checkbox", ParameterFormType.CHECKBOX],
  ["switch", ParameterFormType.SWITCH],
  ["tag-select", ParameterFormType.TAGSELECT],
  ["multi-select", ParameterFormType.MULTISELECT],
]);

/**
 * Lists the parameters in visiting order, whatever their `order` says (spec/04 §5.1, §5.2).
 * @throws GraphError `decode_parameter`, `form_type`, `duplicate_parameter`
 */
export function listParameters({ table }: Template): RichParameter[] {
  const parameters = table.visited("coder_parameter").map(decodeParameter);
  const seen = new Set<string>();
  const repeated = new Set<string>();
  for (const { name } of parameters) {
    if (seen.has(name)) repeated.add(name);
    seen.add(name);
  }
  if (repeated.size > 0) {
    const verb = repeated.size === 1 ? "appears" : "appear";
    const message = `coder_parameter names must be unique but ${enumerate([...repeated])} ${verb} multiple times`;
    throw new GraphError("duplicate_parameter", message);
  }
  return parameters;
}

function decodeParameter(resource: Resource): RichParameter {
  const prefix = `decode map values for coder_parameter.${resource.name}`;
  const values = new Attributes(resource.values(), "decode_parameter", prefix);
  const formType = values.string("form_type");
  const parameter = create(RichParameterSchema, {
    name: values.string("name"),
    displayName: values.string("display_name"),
    description: values.string("description"),
    icon: values.string("icon"),
    type: values.string("type"),
    mutable: values.bool("mutable"),
    ephemeral: values.bool("ephemeral"),
    defaultValue: values.string("default"),
    required: !values.bool("optional"),
    order: values.int32("order"),
    options: values.blocks("option").map(decodeOption),
    ...validation(values.blocks("validation")),
  });
  const known = formTypes.get(formType);
  if (known === undefined) {
    const message = `decode form_type for coder_parameter.${resource.name}: unsupported form type: ${formType}`;
    throw new GraphError("form_type", message);
  }
  parameter.formType = known;
  return parameter;
}

function decodeOption(block: Attributes): RichParameterOption {
  return create(RichParameterOptionSchema, {
    name: block.string("name"),
    description: block.string("description"),
    value: block.string("value"),
    icon: block.string("icon"),
  });
}

interface Validation {
  validationRegex: string;
  validationError: string;
  validationMonotonic: string;
  validationMin?: number;
  validationMax?: number;
}

/** All blocks are decoded, but they count only if there is exactly one. An absent bound is not a bound of 0. */
function validation(blocks: Attributes[]): Partial<Validation> {
  const decoded = blocks.map((block): Validation => {
    const min = block.int32("min");
    const max = block.int32("max");
    const minDisabled = block.bool("min_disabled");
    const maxDisabled = block.bool("max_disabled");
    // Providers without `min_disabled` cannot tell 0 from none: there one bound brings the other.
    const current = block.has("min_disabled");
    const old = !current && (min !== 0 || max !== 0);
    return {
      validationRegex: block.string("regex"),
      validationError: block.string("error"),
      validationMonotonic: block.string("monotonic"),
      ...((current ? !minDisabled : old) && { validationMin: min }),
      ...((current ? !maxDisabled : old) && { validationMax: max }),
    };
  });
  return (decoded.length === 1 && decoded[0]) || {};
}

/** `"a"`, `"a" and "b"`, `"a", "b" and "c"`. */
function enumerate(names: string[]): string {
  const quoted = names.map((name) => JSON.stringify(name));
  const last = quoted.pop() ?? "";
  return quoted.length === 0 ? last : `${quoted.join(", ")} and ${last}`;
}
