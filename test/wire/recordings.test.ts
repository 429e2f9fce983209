import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sharedFolder } from "../support/shared.ts";
import { type Decoded, messageJson, RecordingDecoder, readRecording } from "../support/wire-recording.ts";

const wire = join(sharedFolder ?? "", "cases/wire");

function recordings(extension: string): string[] {
  if (!sharedFolder) return [`*${extension}`];
  const folders = readdirSync(wire, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return folders.flatMap(({ name }) =>
    readdirSync(join(wire, name))
      .filter((file) => file.endsWith(extension))
      .map((file) => `${name}/${file}`),
  );
}

const readDecoded = (file: string): Decoded[] =>
  readFileSync(join(wire, file), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Decoded);

describe.skipIf(!sharedFolder)("recordings of real sessions", () => {
  test.each(recordings(".bytes"))(
    "01#72 %s decodes as recorded, every layer, and encodes to the same bytes",
    (file) => {
      const expected = readDecoded(file.replace(".bytes", ".jsonl")).map(({ ms, ...rest }) => rest);
      for (const step of [Number.POSITIVE_INFINITY, 1]) {
        const decoded: Decoded[] = [];
        const methods = new Map();
        const ways = {
          up: new RecordingDecoder("up", decoded, methods, step),
          down: new RecordingDecoder("down", decoded, methods, step),
        };
        for (const { way, bytes } of readRecording(join(wire, file))) ways[way].push(bytes);
        expect(decoded).toEqual(expected);
        for (const { yamuxRead, yamuxAgain, drpcRead, drpcAgain } of Object.values(ways)) {
          expect(Buffer.compare(Buffer.concat(yamuxAgain), Buffer.concat(yamuxRead))).toBe(0);
          for (const [id, read] of drpcRead)
            expect(Buffer.compare(Buffer.concat(drpcAgain.get(id) ?? []), Buffer.concat(read))).toBe(0);
        }
      }
    },
  );

  test.each(recordings(".jsonl").filter((file) => !existsSync(join(wire, file.replace(".jsonl", ".bytes")))))(
    "%s: the messages whose bytes are there decode as recorded",
    (file) => {
      for (const { of, hex, json } of readDecoded(file)) {
        if (typeof of === "string" && typeof hex === "string")
          expect(messageJson(of, Buffer.from(hex, "hex"))).toEqual(json);
      }
    },
  );
});
