/** Method paths as they stand in Invoke packets (spec/01 §4.13). */
export const methods = {
  acquireJob: "/provisionerd.ProvisionerDaemon/AcquireJob",
  acquireJobWithCancel: "/provisionerd.ProvisionerDaemon/AcquireJobWithCancel",
  commitQuota: "/provisionerd.ProvisionerDaemon/CommitQuota",
  updateJob: "/provisionerd.ProvisionerDaemon/UpdateJob",
  failJob: "/provisionerd.ProvisionerDaemon/FailJob",
  completeJob: "/provisionerd.ProvisionerDaemon/CompleteJob",
  uploadFile: "/provisionerd.ProvisionerDaemon/UploadFile",
  downloadFile: "/provisionerd.ProvisionerDaemon/DownloadFile",
} as const;

/** Texts of the server that a program may match on: nothing else is stable enough (spec/01 §4.11). */
export const serverTexts = {
  notYourJob: "you don't own this job",
  notRunning: "job isn't running yet",
  alreadyCompleted: "job already completed",
  unknownMethod: "unknown rpc",
  requiredVariables: "required template variables",
} as const;

/** The organization segment of the URL, used with a key or a PSK (spec/01 §1.1). */
export const defaultOrganization = "default";
