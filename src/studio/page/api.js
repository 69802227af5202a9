// Talking to the server. Every write says that it comes from this page.

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `status ${status}`);
    Object.assign(this, { status, code: body.code, at: body.at, hint: body.hint });
  }
}

async function ask(method, path, body) {
  const headers = method === "GET" ? {} : { "X-Isoline": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const json = (answer.headers.get("content-type") ?? "").includes("json");
  const content = json ? await answer.json() : (await answer.text(), null);
  if (!answer.ok) throw new Problem(answer.status, content ?? {});
  return content;
}

export const get = (path) => ask("GET", path);
export const post = (path, body) => ask("POST", path, body);
export const patch = (path, body) => ask("PATCH", path, body);
export const remove = (path) => ask("DELETE", path);
// A picture that was dropped on the page.
export async function read(blob) {
  const answer = await fetch("/api/recipes", { method: "POST", headers: { "X-Isoline": "1", "Content-Type": "image/png" }, body: blob });
  const content = await answer.json();
  if (!answer.ok) throw new Problem(answer.status, content);
  return content;
}
export const file = (id, sha8) => `/api/pictures/${id}/file?v=${sha8}`;
