// Events, told to whoever asked for their kind.

const listeners = new Map();

export function on(kind, act) {
  if (!listeners.has(kind)) listeners.set(kind, []);
  listeners.get(kind).push(act);
}

// A browser without shared workers gives each tab a stream of its own.
async function alone(after) {
  const { listen } = await import("./stream.js");
  listen(after, ({ kind, data }) => (listeners.get(kind) ?? []).forEach((act) => act(data)));
}

export function connect(after) {
  // A page that comes back from the browser's memory has left the stream.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  if (!("SharedWorker" in self)) return alone(after);
  const policy = self.trustedTypes?.createPolicy("isoline", { createScriptURL: (url) => (url === "/page/stream.js" ? url : "") });
  const worker = new SharedWorker(policy ? policy.createScriptURL("/page/stream.js") : "/page/stream.js", { type: "module" });
  worker.port.onmessage = ({ data }) => (listeners.get(data.kind) ?? []).forEach((act) => act(data.data));
  worker.port.postMessage({ after });
  addEventListener("pagehide", () => worker.port.postMessage({ leave: true }));
}
