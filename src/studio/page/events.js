// Events, told to whoever asked for their kind.

const listeners = new Map();

export function on(kind, act) {
  if (!listeners.has(kind)) listeners.set(kind, []);
  listeners.get(kind).push(act);
}

export function connect(after) {
  const policy = self.trustedTypes?.createPolicy("isoline", { createScriptURL: (url) => (url === "/page/stream.js" ? url : "") });
  const worker = new SharedWorker(policy ? policy.createScriptURL("/page/stream.js") : "/page/stream.js");
  worker.port.onmessage = ({ data }) => (listeners.get(data.kind) ?? []).forEach((act) => act(data.data));
  worker.port.postMessage({ after });
  addEventListener("pagehide", () => worker.port.postMessage({ leave: true }));
}
