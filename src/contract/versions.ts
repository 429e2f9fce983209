/** A version of the provisioner API: `major.minor` (spec/01 §5.1). */
export interface ApiVersion {
  major: number;
  minor: number;
}

/** What we speak. Servers from 1.0 (release 2.7) to this are supported; newer ones of the same major accept it. */
export const ourVersion: ApiVersion = { major: 1, minor: 18 };

/** Text form, `1.18`. */
export const versionText = (version: ApiVersion): string => `${version.major}.${version.minor}`;

/** Parses `major.minor`, two decimal integers and nothing else; undefined for any other text. */
export function parseVersion(text: string): ApiVersion | undefined {
  const match = /^(\d{1,9})\.(\d{1,9})$/.exec(text);
  return match ? { major: Number(match[1]), minor: Number(match[2]) } : undefined;
}

/** What the effective version lets us do; sending too much is harmless, calling an unknown method is not (spec/01 §5.5). */
export interface Features {
  /** UploadFile exists (from 1.7). */
  uploadFile: boolean;
  /** DownloadFile exists (from 1.14). */
  downloadFile: boolean;
  /** CompletedJob.TemplateImport has stop_modules, field 7 (up to 1.14). */
  stopModules: boolean;
}

export function featuresOf({ minor }: ApiVersion): Features {
  return { uploadFile: minor >= 7, downloadFile: minor >= 14, stopModules: minor <= 14 };
}
