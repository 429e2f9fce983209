import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { describe, expect, test } from "vitest";
import { featuresOf } from "../../src/contract/versions.ts";
import {
  AITaskSchema,
  AITaskSidebarAppSchema,
  ExternalAuthProviderResourceSchema,
  MetadataSchema,
  ModuleSchema,
  ResourceSchema,
} from "../../src/gen/provisioner_pb.ts";
import { AcquiredJobSchema, CompletedJobSchema } from "../../src/gen/provisionerd_pb.ts";
import { buildJob, importJob, JobBench } from "../support/job-harness.ts";
import { bytes } from "../support/job-provisioner.ts";

/** The raw values of one field of one nested message. */
function rawFields(message: Uint8Array, path: number[]): Uint8Array[] {
  const [number, ...rest] = path;
  const found: Uint8Array[] = [];
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [at, wireType] = reader.tag();
    if (at !== number || wireType !== WireType.LengthDelimited) reader.skip(wireType, at);
    else found.push(reader.bytes());
  }
  return rest.length === 0 ? found : found.flatMap((inner) => rawFields(inner, rest));
}

const templateImport = 3;

describe("what servers of all ages read", () => {
  test("01#110 an import carries its providers in fields 4 and 5, optional ones included", async () => {
    for (const minor of [0, 1, 6, 14, 18]) {
      const bench = new JobBench();
      bench.plane.features = featuresOf({ major: 1, minor });
      bench.provisioner.onGraph = async () => ({
        externalAuthProviders: [
          create(ExternalAuthProviderResourceSchema, { id: "github" }),
          create(ExternalAuthProviderResourceSchema, { id: "gitlab", optional: true }),
        ],
      });
      await bench.run(importJob());
      expect(bench.plane.completed?.type.value).toMatchObject({
        externalAuthProvidersNames: ["github", "gitlab"],
        externalAuthProviders: [
          { id: "github", optional: false },
          { id: "gitlab", optional: true },
        ],
      });
    }
  });

  test("01#111 every AI task carries its app's id twice, whichever of the two it came with, and the app has it", async () => {
    const app = "11111111-2222-4333-8444-555555555555";
    for (const task of [{ appId: app }, { sidebarApp: create(AITaskSidebarAppSchema, { id: app }) }]) {
      const bench = new JobBench();
      bench.provisioner.onGraph = async () => ({
        aiTasks: [create(AITaskSchema, { id: "task", ...task })],
        resources: [create(ResourceSchema, { agents: [{ apps: [{ slug: "chat", id: app }] }] })],
      });
      await bench.run(buildJob());
      const type = bench.plane.completed?.type;
      expect(type?.value).toMatchObject({ aiTasks: [{ id: "task", appId: app, sidebarApp: { id: app } }] });
      expect(type?.value).toMatchObject({ resources: [{ agents: [{ apps: [{ id: app }] }] }] });
    }
  });

  test("01#112 servers up to 1.14 get the modules as field 7 as well; a newer decoder skips it; newer servers don't get it", async () => {
    for (const minor of [0, 6, 14, 15, 18]) {
      const bench = new JobBench();
      bench.plane.features = featuresOf({ major: 1, minor });
      const modules = [
        create(ModuleSchema, { key: "a", source: "./a" }),
        create(ModuleSchema, { key: "b", version: "1.2" }),
      ];
      bench.provisioner.onInit = async () => ({ modules });
      await bench.run(importJob());
      const { completed } = bench.plane;
      if (!completed) throw new Error("not completed");
      const encoded = toBinary(CompletedJobSchema, completed);
      const stop = rawFields(encoded, [templateImport, 7]).map((raw) => fromBinary(ModuleSchema, raw));
      expect(stop).toMatchObject(
        minor <= 14 ? modules.map(({ key, source, version }) => ({ key, source, version })) : [],
      );
      const decoded = fromBinary(CompletedJobSchema, encoded, { readUnknownFields: false });
      expect(decoded.type.value).toMatchObject({ startModules: [{ key: "a" }, { key: "b" }] });
    }
  });

  test("01#109 against 1.13 no module archive is downloaded, and none is uploaded against 1.6", async () => {
    const metadata = create(MetadataSchema, { templateVersionModulesFile: "1b1cdf5e-d419-4673-98bc-5f41954cc03c" });
    const old = new JobBench();
    old.plane.features = featuresOf({ major: 1, minor: 13 });
    await old.run(buildJob({ metadata }));
    expect(old.plane.kinds).toEqual(["complete"]);
    const newer = new JobBench();
    newer.plane.features = featuresOf({ major: 1, minor: 14 });
    newer.plane.modules = bytes("tar");
    await newer.run(buildJob({ metadata }));
    expect(newer.plane.kinds).toEqual(["download", "complete"]);
    expect(newer.provisioner.given.init?.moduleArchive).toEqual(bytes("tar"));

    for (const [minor, kinds] of [
      [6, ["variables", "complete"]],
      [7, ["variables", "upload", "complete"]],
    ] as const) {
      const bench = new JobBench();
      bench.plane.features = featuresOf({ major: 1, minor });
      bench.provisioner.onInit = async () => ({ moduleFiles: new Uint8Array(5 << 20) });
      await bench.run(importJob());
      expect(bench.plane.kinds).toEqual(kinds);
    }
  });

  test("01#113 fields 11 and 12 of a build are dropped: they reach neither the provisioner nor the log", async () => {
    // job_id, provisioner, workspace_build{11: true, 12: {1: "ENV", 3: "user-secret-value"}}
    const secret = [0x0a, 3, ...bytes("ENV"), 0x1a, 17, ...bytes("user-secret-value")];
    const build = [0x58, 1, 0x62, secret.length, ...secret];
    const raw = Uint8Array.from([0x0a, 1, 0x6a, 0x1a, 9, ...bytes("terraform"), 0x32, build.length, ...build]);
    const bench = new JobBench();
    const result = await bench.run(fromBinary(AcquiredJobSchema, raw));
    expect(result.status).toBe("succeeded");
    const everything = JSON.stringify(
      [bench.provisioner.given.plans, bench.events, bench.plane.logs.map((log) => log.output)],
      (_, value) => (typeof value === "bigint" ? `${value}` : value),
    );
    expect(everything).not.toContain("user-secret-value");
    expect(everything).not.toContain(Buffer.from("user-secret-value").toString("base64"));
  });
});
