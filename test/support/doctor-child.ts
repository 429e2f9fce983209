// `outpost doctor` alone, as a child in a place of its own: node --import tsx test/support/doctor-child.ts [ARGS]
import { doctorCommand } from "../../src/cli/commands/doctor.ts";

void doctorCommand().parseAsync(process.argv.slice(2), { from: "user" });
