import type { DescEnum, DescMessage } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { file_provisioner } from "../../src/gen/provisioner_pb.ts";
import {
  AcquiredJobSchema,
  CompletedJobSchema,
  file_provisionerd,
  ProvisionerDaemon,
} from "../../src/gen/provisionerd_pb.ts";

function* definitions(messages: readonly DescMessage[], enums: readonly DescEnum[]): Generator<DescMessage | DescEnum> {
  yield* enums;
  for (const message of messages) {
    yield message;
    yield* definitions(message.nestedMessages, message.nestedEnums);
  }
}

const all = [file_provisioner, file_provisionerd].flatMap((file) => [...definitions(file.messages, file.enums)]);

test("01#114 the compiled schemas have 68 definitions and 316 fields, with the numbers of the two files", () => {
  // The service is a definition, and its methods count as fields, as values of enums do.
  expect(all.length + 1).toBe(68);
  const fields = all.flatMap((definition): readonly unknown[] =>
    definition.kind === "message" ? definition.fields : definition.values,
  );
  expect(fields.length + ProvisionerDaemon.methods.length).toBe(316);
  const numbers = (schema: DescMessage) => schema.fields.map((field) => field.number);
  expect(numbers(AcquiredJobSchema)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const [build, imported] = CompletedJobSchema.nestedMessages;
  expect(build && numbers(build)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(imported && numbers(imported)).toEqual([1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13]);
});

test("the service's paths are those of the wire", () => {
  expect(ProvisionerDaemon.typeName).toBe("provisionerd.ProvisionerDaemon");
  expect(ProvisionerDaemon.methods.map((method) => method.name)).toEqual([
    "AcquireJob",
    "AcquireJobWithCancel",
    "CommitQuota",
    "UpdateJob",
    "FailJob",
    "CompleteJob",
    "UploadFile",
    "DownloadFile",
  ]);
});
