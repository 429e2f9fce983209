/** The one release that is downloaded where a machine has no engine, and the SHA-256 of its zips by platform. */
export interface Pins {
  version: string;
  /** By `linux_amd64` and the like, in lower-case hex. */
  zips: Readonly<Record<string, string>>;
}

/** Checked against three public tables of the release's SHA256SUMS. */
export const pinnedTerraform: Pins = {
  version: "1.11.4",
  zips: {
    linux_amd64: "1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc",
    linux_arm64: "a43d1d0da9b9bab214a8305a39db0e40869572594ccf50c416a7756499143633",
    darwin_amd64: "a56d5002b9f7647291faccc3dd1a70350e60fb61e4c45037629508b8fdc2575b",
    darwin_arm64: "867e0808fa971217043e25b7a792b10720c79b1546f8a68479b74f138be73e18",
  },
};

/** Platform names as in the release's file names, `linux_amd64`. */
export function releasePlatform(platform: NodeJS.Platform, architecture: string): string {
  return `${platform}_${architecture === "x64" ? "amd64" : architecture}`;
}
