import { expect, test } from "vitest";
import { operatorBlocks } from "../../src/engine/operator-config.ts";

const file = `
# corporate mirror
plugin_cache_dir   = "/shared/cache"
disable_checkpoint = true

provider_installation {
  network_mirror {
    url     = "https://mirror.example/{v1}/"   // braces in a string
    include = ["*/*"]
  }
}

credentials "registry.example" {
  token = "abc"
}
host "registry.example" { services = { "modules.v1" = "https://m.example/" } }
provider_meta { ignored = true }
`;

test("installation, credentials and host blocks are taken over as they stand, the rest stays behind", () => {
  const blocks = operatorBlocks(file, "rc");
  expect(blocks).toContain('url     = "https://mirror.example/{v1}/"');
  expect(blocks).toContain('credentials "registry.example" {\n  token = "abc"\n}');
  expect(blocks).toContain('host "registry.example" { services = { "modules.v1" = "https://m.example/" } }');
  expect(blocks).not.toMatch(/plugin_cache_dir|disable_checkpoint|provider_meta/);
});

test("an empty file gives nothing", () => {
  expect(operatorBlocks("", "rc")).toBe("");
});

test.each([
  ["credentials {", /line 1: a block is not closed/],
  ["\n\n}", /line 3: "}" closes nothing/],
  ["a = 1\nb = %", /line 2: unexpected "%"/],
])("%j is an error that names the line", (source, message) => {
  expect(() => operatorBlocks(source, "rc")).toThrow(message);
});
