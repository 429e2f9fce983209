// A worker is started once per job: it loads nothing of the command line.
const [command] = process.argv.slice(2);
process.exitCode =
  command === "worker"
    ? await (await import("./cli/worker.ts")).worker()
    : await (await import("./cli/main.ts")).main(process.argv.slice(2));
