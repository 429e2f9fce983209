import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

/** More of an answer is not read: a partial success is a few lines. */
const maxBodyBytes = 65_536;

/** Posts JSON. Rejects when the connection fails, or with the signal's reason. */
export function post(
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: string,
  signal: AbortSignal,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(
      url,
      { method: "POST", headers: { ...headers, "content-type": "application/json" }, signal },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          if (text.length < maxBodyBytes) text += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
        response.on("error", (error) => reject(signal.aborted ? signal.reason : error));
      },
    );
    request.on("error", (error) => reject(signal.aborted ? signal.reason : error));
    request.end(body);
  });
}
