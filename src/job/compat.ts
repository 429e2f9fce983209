import { clone, create, toBinary, type UnknownField } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type AITask,
  AITaskSchema,
  AITaskSidebarAppSchema,
  type ExternalAuthProviderResource,
  type Module,
  ModuleSchema,
} from "../gen/provisioner_pb.ts";

// What servers of all ages read (spec/01 §5.5). Sending too much is harmless: unknown fields are skipped.

/** CompletedJob.TemplateImport.stop_modules, which servers up to 1.14 record for the stop transition. */
const stopModulesNumber = 7;

/** Field 4 of an import: the ids of all providers, optional ones included. Servers at 1.0 read only this one. */
export function providerNames(providers: readonly ExternalAuthProviderResource[]): string[] {
  return providers.map((provider) => provider.id);
}

/** An AI task with its app's id in both fields: servers 1.7 to 1.10 fail the completion without `sidebar_app`. */
export function bothAppIds(task: AITask): AITask {
  const id = task.appId || task.sidebarApp?.id || "";
  const both = clone(AITaskSchema, task);
  both.appId = id;
  if (id) both.sidebarApp = create(AITaskSidebarAppSchema, { id });
  return both;
}

/** One module of the former stop_modules, as the field that our schema has no more. */
export function stopModulesField(module: Module): UnknownField {
  const data = new BinaryWriter().bytes(toBinary(ModuleSchema, module)).finish();
  return { no: stopModulesNumber, wireType: WireType.LengthDelimited, data };
}
