// A WebSocket that comes back by itself, and says so.

const SILENT_MS = 6000; // the daemon says something every second
const PAUSES_MS = [1000, 2000, 4000, 8000, 15000];

export class Connection {
  // told: {words(kind, content), sound(DataView), lost(sinceMs, nextMs, refused), found()}
  constructor(url, told) {
    this.url = url;
    this.told = told;
    this.tries = 0;
    this.lostAt = null;
    this.socket = null;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retry();
    });
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => {
      if (event.persisted) this.open();
    });
    this.open();
  }

  send(words) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(words));
  }

  // Do not wait any longer for the next try.
  retry() {
    if (this.pause) {
      clearTimeout(this.pause);
      this.open();
    }
  }

  open() {
    this.pause = null;
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.listenFor(socket);
    let opened = false;
    socket.onopen = () => {
      opened = true;
    };
    socket.onmessage = (event) => this.hear(socket, event.data);
    socket.onclose = () => this.lose(socket, !opened);
  }

  close() {
    clearTimeout(this.pause);
    clearTimeout(this.silence);
    this.pause = null;
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  hear(socket, data) {
    if (socket !== this.socket) return;
    this.listenFor(socket);
    if (this.lostAt !== null || this.tries > 0 || !this.known) {
      this.known = true;
      this.tries = 0;
      this.lostAt = null;
      this.told.found();
    }
    if (typeof data === "string") {
      for (const [kind, content] of Object.entries(JSON.parse(data))) this.told.words(kind, content);
    } else {
      this.told.sound(new DataView(data));
    }
  }

  // A daemon that was stopped, or a network that is gone, closes nothing.
  listenFor(socket) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      this.lose(socket);
      socket.close();
    }, SILENT_MS);
  }

  lose(socket, refused = false) {
    if (socket !== this.socket) return;
    this.socket = null;
    clearTimeout(this.silence);
    this.lostAt ??= Date.now();
    const pause = PAUSES_MS[Math.min(this.tries, PAUSES_MS.length - 1)] * (0.8 + 0.4 * Math.random());
    this.tries += 1;
    this.pause = setTimeout(() => this.open(), pause);
    this.told.lost(this.lostAt, Date.now() + pause, refused);
  }
}
