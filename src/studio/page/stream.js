// One stream of events for all tabs, since a browser opens only six connections to a server.

const KINDS = ["frame", "worker", "models", "run", "job", "queue", "kept", "checked", "measured", "marks", "pool", "taste", "reset"];
const ports = new Set();
let source = null;
let state = "connecting";

function tell(message) {
  for (const port of ports) port.postMessage(message);
}

export function listen(after, told = tell) {
  source = new EventSource(`/api/events?after=${after}`);
  source.onopen = () => told({ kind: (state = "open") });
  source.onerror = () => {
    told({ kind: (state = "lost") });
    // A server that says no ends the stream for good; a new one is tried until it says yes.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(after, told), 1000);
  };
  for (const kind of KINDS) {
    source.addEventListener(kind, (event) => {
      if (event.lastEventId) after = event.lastEventId;
      told({ kind, data: JSON.parse(event.data) });
    });
  }
}

function join(port) {
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data.leave) return ports.delete(port);
    if (source === null) listen(data.after);
    else port.postMessage({ kind: state });
  };
}

if ("onconnect" in self) self.onconnect = (event) => join(event.ports[0]);
