/** The socket to the gateway: hello, frames up, replies down, and back again when the line breaks. */

/** @typedef {import("./types.js").Sight} Sight */

const IN_FLIGHT = 2;
/** A frame without an answer for so long is given up: the pool does not answer frames older than this. */
const GIVEN_UP_MS = 1000;
/** So long without any answer, while frames go out, and nobody seems to be there. */
const SILENT_MS = 1400;
const LOOK_MS = 50;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 4000;
const FULL_PAUSE_MS = 8000;
/** The line is clogged: newer frames are worth more than those behind it. */
const CLOGGED_BYTES = 32 * 1024;
const HEAD_BYTES = 24;
const FLAG = { hand: 1, left: 2 };
const TOKEN_KEY = "maze.token";
const CLOSED = { token: 4401, replaced: 4409, full: 4430 };

/**
 * @typedef {object} LinkEvents
 * @property {(welcome: import("./types.js").Welcome) => void} welcome
 * @property {(reply: import("./types.js").Reply, waitedMs: number | null) => void} reply
 * @property {(message: any) => void} message any other message
 * @property {() => void} changed `state` or `silent` is another
 */

/**
 * @param {number} seq
 * @param {Sight} sight
 * @returns {ArrayBuffer} the packed frame of the wire, version 1
 */
export function pack(seq, sight) {
  const frame = new ArrayBuffer(HEAD_BYTES + 63 * 4);
  const view = new DataView(frame);
  view.setBigUint64(0, BigInt(seq), true);
  view.setBigInt64(8, BigInt(Math.round(sight.captured)), true);
  view.setFloat32(16, sight.aspect, true);
  view.setUint32(20, sight.points ? FLAG.hand | (sight.left ? FLAG.left : 0) : 0, true);
  sight.points?.forEach((point, at) => {
    for (let axis = 0; axis < 3; axis++) view.setFloat32(HEAD_BYTES + (at * 3 + axis) * 4, point[axis], true);
  });
  return frame;
}

export class Link {
  /** @type {"connecting" | "open" | "reconnecting" | "replaced" | "full"} */
  state = "connecting";
  /** Frames go out and no answer comes back. */
  silent = false;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Sight | null} the newest that waits for its turn */
  #newest = null;
  /** @type {Map<number, number>} seq to when it was sent */
  #inFlight = new Map();
  /** @type {number | null} when the first of those frames was sent that nobody has answered */
  #unansweredSince = null;
  #seq = 0;
  #welcomed = false;
  #everOpen = false;
  #pauseMs = FIRST_PAUSE_MS;
  #leastGapMs = 1000 / 30;
  #lastSent = -Infinity;
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {() => string} name
   * @param {LinkEvents} events
   */
  constructor(name, events) {
    this.name = name;
    this.events = events;
    setInterval(() => this.#look(), LOOK_MS);
    addEventListener("online", () => this.#hurry());
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/play`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      const token = sessionStorage.getItem(TOKEN_KEY);
      socket.send(JSON.stringify({ type: "hello", name: this.name(), width: 640, height: 480, token }));
    };
    socket.onmessage = (event) => this.#heard(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.#socket && this.#closed(event.code);
    this.#socket = socket;
  }

  /** Leave, and come back as somebody else. */
  renew() {
    sessionStorage.removeItem(TOKEN_KEY);
    const old = this.#socket;
    this.#forget();
    this.open();
    old?.close();
  }

  /** Offer a frame. It never waits: a newer one takes its place. @param {Sight} sight */
  offer(sight) {
    this.#newest = sight;
    this.#pump();
  }

  /** @param {object} message @returns {boolean} whether it could be sent */
  send(message) {
    if (!this.#welcomed || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #pump() {
    const now = performance.now();
    const socket = this.#socket;
    if (!this.#newest || !this.#welcomed || !socket || socket.readyState !== WebSocket.OPEN) return;
    if (this.#inFlight.size >= IN_FLIGHT || socket.bufferedAmount > CLOGGED_BYTES) return;
    if (now - this.#lastSent < this.#leastGapMs) return;
    const seq = this.#seq++;
    socket.send(pack(seq, this.#newest));
    this.#newest = null;
    this.#lastSent = now;
    this.#inFlight.set(seq, now);
    this.#unansweredSince ??= now;
  }

  /** @param {any} message */
  #heard(message) {
    if (message.v === 1) return this.#answered(message);
    if (message.type === "welcome") {
      sessionStorage.setItem(TOKEN_KEY, message.token);
      this.#seq = message.seq;
      this.#leastGapMs = 1000 / message.fps;
      this.#welcomed = this.#everOpen = true;
      this.#pauseMs = FIRST_PAUSE_MS;
      this.#become("open");
      this.events.welcome(message);
      return;
    }
    this.events.message(message);
  }

  /** @param {import("./types.js").Reply} reply */
  #answered(reply) {
    const now = performance.now();
    const sent = this.#inFlight.get(reply.seq);
    // one session's frames are answered in order: what is older was superseded
    for (const seq of this.#inFlight.keys()) if (seq <= reply.seq) this.#inFlight.delete(seq);
    this.#unansweredSince = this.#inFlight.size ? now : null;
    this.#beSilent(false);
    this.events.reply(reply, sent === undefined ? null : now - sent);
    this.#pump();
  }

  #look() {
    const now = performance.now();
    for (const [seq, sent] of this.#inFlight) if (now - sent > GIVEN_UP_MS) this.#inFlight.delete(seq);
    if (this.#unansweredSince !== null && now - this.#unansweredSince > SILENT_MS) this.#beSilent(true);
    this.#pump();
  }

  /** @param {number} code */
  #closed(code) {
    this.#forget();
    if (code === CLOSED.replaced) return this.#become("replaced");
    if (code === CLOSED.token) sessionStorage.removeItem(TOKEN_KEY);
    this.#become(code === CLOSED.full ? "full" : this.#everOpen ? "reconnecting" : "connecting");
    const pause = code === CLOSED.full ? FULL_PAUSE_MS : this.#pauseMs * (0.5 + Math.random());
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    this.#timer = setTimeout(() => this.open(), pause);
  }

  #hurry() {
    if (this.state !== "reconnecting") return;
    clearTimeout(this.#timer);
    this.open();
  }

  #forget() {
    clearTimeout(this.#timer);
    this.#socket = null;
    this.#welcomed = false;
    this.#inFlight.clear();
    this.#unansweredSince = null;
    this.#beSilent(false);
  }

  /** @param {Link["state"]} state */
  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.events.changed();
  }

  /** @param {boolean} silent */
  #beSilent(silent) {
    if (silent === this.silent) return;
    this.silent = silent;
    this.events.changed();
  }
}
