/** Our version: put in by the build; development runs have the placeholder. */
export const version: string = process.env["OUTPOST_BUILD_VERSION"] ?? "0.0.0-dev";
