// A worker is started once per job: it loads nothing of the command line.
const [command] = process.argv.slice(2);
if (command === "worker") process.exitCode = await (await import("./cli/worker.ts")).worker();
else {
  // Whoever reads us may leave early, as head does: that is no fault.
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit();
    });
  process.exitCode = await (await import("./cli/main.ts")).main(process.argv.slice(2));
}
