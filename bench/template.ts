import { parseTemplate } from "../src/template/parse.ts";
import { type Figure, median } from "./figure.ts";

const fileCount = 1_000;
const rounds = 5;

/** Parse of a template of 1,000 files, and of one file as long as all of them: the time goes with the text. */
export async function benchTemplate(): Promise<Figure[]> {
  const texts = Array.from({ length: fileCount }, (_, n) => templateText(n));
  const files = texts.map((text, n) => ({ name: `f${n}.tf`, bytes: Buffer.from(text) }));
  const whole = [{ name: "main.tf", bytes: Buffer.from(texts.join("")) }];
  const megabytes = (whole[0]?.bytes.length ?? 0) / 1e6;
  const many = median(Array.from({ length: rounds }, () => measureMs(files)));
  const one = median(Array.from({ length: rounds }, () => measureMs(whole)));
  return [
    { name: "parse of 1,000 files", value: many, unit: "ms", note: `${megabytes.toFixed(1)} MB` },
    { name: "parse of the same text as one file", value: one, unit: "ms" },
    { name: "text read per second", value: megabytes / (many / 1000), unit: "MB/s" },
  ];
}

function measureMs(files: Parameters<typeof parseTemplate>[0]): number {
  const start = performance.now();
  parseTemplate(files);
  return performance.now() - start;
}

const templateText = (n: number) => `# file ${n}
variable "size_${n}" {
  type        = object({ cpu = number, memory = optional(number) })
  description = "Size of machine ${n}"
  default     = { cpu = 2, memory = 1.5e3 }
}

data "coder_parameter" "region_${n}" {
  name    = "region ${n}"
  type    = "string"
  default = var.size_${n}.cpu > 1 ? "eu" : "us"
  option {
    name  = "Europe"
    value = "eu"
  }
}

data "coder_workspace_tags" "tags_${n}" {
  tags = {
    "region_${n}" = data.coder_parameter.region_${n}.value
  }
}

resource "docker_container" "workspace_${n}" {
  count   = data.coder_workspace.me.start_count
  name    = "coder-\${data.coder_workspace_owner.me.name}-\${lower(data.coder_workspace.me.name)}"
  env     = [for key, value in local.environment : "\${key}=\${value}" if value != ""]
  command = ["sh", "-c", replace(coder_agent.main.init_script, "/localhost|127\\\\.0\\\\.0\\\\.1/", "host.docker.internal")]
  script  = <<-EOT
    set -e
    echo "machine ${n}: \${var.size_${n}.memory}"
  EOT
}
`;
