/** The socket to the gateway: hello, frames up, replies down, and a new connection when it is lost. */

import { address } from "./types.js";

/** @typedef {import("./types.js").Sight} Sight */
/** @typedef {{ at: number, waited: number, stages: Sight["stages"] }} Sent when a frame was sent, and what took time before */

/** Most frames without an answer: as many as the camera makes in one round trip, and one more. */
const LEAST_IN_FLIGHT = 2;
const MOST_IN_FLIGHT = 8;
/** Age at which the page stops waiting for the answer to a frame: the pool does not answer older ones. */
const GIVEN_UP_MS = 1000;
/** Time without any answer, while frames are sent, after which no worker is assumed to be alive. */
const SILENT_MS = 1400;
/** Frames that may be sent at once after a pause, so that a camera's jitter delays none. */
const BURST = 3;
const LOOK_MS = 50;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 4000;
const FULL_PAUSE_MS = 8000;
/** Bytes waiting in the socket above which frames are dropped for newer ones. */
const CLOGGED_BYTES = 32 * 1024;
const HEAD_BYTES = 24;
const FLAG = { hand: 1, left: 2 };
const TOKEN_KEY = "maze.token";
const CLOSED = { token: 4401, replaced: 4409, full: 4430, unavailable: 4503 };

/**
 * @typedef {object} LinkEvents
 * @property {(welcome: import("./types.js").Welcome) => void} welcome
 * @property {(reply: import("./types.js").Reply, sent: Sent | null, waitedMs: number | null) => void} reply
 * @property {(message: any) => void} message any other message
 * @property {() => void} changed `state` or `silent` changed
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
  /** @type {string | null} why the gateway cannot take this player now */
  refusal = null;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Sight | null} the newest that waits to be sent */
  #newest = null;
  #newestAt = 0;
  /** @type {Map<number, Sent>} by seq */
  #inFlight = new Map();
  /** @type {number | null} when the first of the unanswered frames was sent */
  #unansweredSince = null;
  #seq = 0;
  #welcomed = false;
  #everOpen = false;
  #pauseMs = FIRST_PAUSE_MS;
  #fps = 30;
  #allowed = BURST;
  #allowedAt = 0;
  #roundTripMs = 0;
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
    addEventListener("online", () => this.hurry());
  }

  open() {
    const play = address("play");
    play.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(play);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      const token = sessionStorage.getItem(TOKEN_KEY);
      socket.send(JSON.stringify({ type: "hello", name: this.name(), width: 640, height: 480, token }));
    };
    socket.onmessage = (event) => socket === this.#socket && this.#receive(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.#socket && this.#closed(event.code);
    this.#socket = socket;
  }

  /** Offer a frame. It never waits: a newer one takes its place. @param {Sight} sight */
  offer(sight) {
    this.#newest = sight;
    this.#newestAt = performance.now();
    this.#pump();
  }

  /** @param {object} message @returns {boolean} whether it could be sent */
  send(message) {
    if (!this.#welcomed || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Connect at once instead of after the pause. */
  hurry() {
    if (this.state !== "reconnecting" && this.state !== "connecting" && this.state !== "full") return;
    if (this.#socket && this.#socket.readyState < WebSocket.CLOSING) return;
    clearTimeout(this.#timer);
    this.open();
  }

  /** Take the game back from another window. */
  takeBack() {
    if (this.state !== "replaced") return;
    this.#become("reconnecting");
    this.open();
  }

  #pump() {
    const socket = this.#socket;
    const sight = this.#newest;
    if (!sight || !this.#welcomed || !socket || socket.readyState !== WebSocket.OPEN) return;
    const window = Math.ceil((this.#roundTripMs * this.#fps) / 1000) + 1;
    if (this.#inFlight.size >= Math.min(Math.max(window, LEAST_IN_FLIGHT), MOST_IN_FLIGHT)) return;
    if (socket.bufferedAmount > CLOGGED_BYTES || !this.#allow()) return;
    const now = performance.now();
    const seq = this.#seq++;
    socket.send(pack(seq, sight));
    this.#newest = null;
    this.#inFlight.set(seq, { at: now, waited: now - this.#newestAt, stages: sight.stages });
    this.#unansweredSince ??= now;
  }

  /** @returns {boolean} whether the gateway's limit lets one more frame go now */
  #allow() {
    const now = performance.now();
    this.#allowed = Math.min(this.#allowed + ((now - this.#allowedAt) * this.#fps) / 1000, BURST);
    this.#allowedAt = now;
    if (this.#allowed < 1) return false;
    this.#allowed--;
    return true;
  }

  /** @param {any} message */
  #receive(message) {
    if (message.v === 1) return this.#receiveReply(message);
    if (message.type === "welcome") {
      sessionStorage.setItem(TOKEN_KEY, message.token);
      this.#seq = message.seq;
      this.#fps = message.fps;
      this.#welcomed = this.#everOpen = true;
      this.refusal = null;
      this.#pauseMs = FIRST_PAUSE_MS;
      this.#become("open");
      this.events.welcome(message);
      return;
    }
    if (message.type === "named") sessionStorage.setItem(TOKEN_KEY, message.token);
    if (message.type === "refused" && message.reason === "unavailable") {
      this.refusal = message.detail;
      this.events.changed();
    }
    this.events.message(message);
  }

  /** @param {import("./types.js").Reply} reply */
  #receiveReply(reply) {
    const now = performance.now();
    const sent = this.#inFlight.get(reply.seq);
    // the frames of one session are answered in order: older ones were superseded
    for (const seq of this.#inFlight.keys()) if (seq <= reply.seq) this.#inFlight.delete(seq);
    this.#unansweredSince = this.#inFlight.size ? now : null;
    this.#setSilent(false);
    const waited = sent ? now - sent.at : null;
    if (waited !== null) this.#roundTripMs += (waited - this.#roundTripMs) / 8;
    this.events.reply(reply, sent ?? null, waited);
    this.#pump();
  }

  #look() {
    const now = performance.now();
    for (const [seq, sent] of this.#inFlight) if (now - sent.at > GIVEN_UP_MS) this.#inFlight.delete(seq);
    if (this.#unansweredSince !== null && now - this.#unansweredSince > SILENT_MS) this.#setSilent(true);
    this.#pump();
  }

  /** @param {number} code */
  #closed(code) {
    this.#forget();
    if (code === CLOSED.replaced) return this.#become("replaced");
    if (code !== CLOSED.unavailable) this.refusal = null;
    if (code === CLOSED.token) sessionStorage.removeItem(TOKEN_KEY);
    this.#become(code === CLOSED.full ? "full" : this.#everOpen ? "reconnecting" : "connecting");
    const pause = code === CLOSED.full ? FULL_PAUSE_MS : this.#pauseMs * (0.5 + Math.random());
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    this.#timer = setTimeout(() => this.open(), pause);
  }

  #forget() {
    clearTimeout(this.#timer);
    this.#socket = null;
    this.#welcomed = false;
    this.#inFlight.clear();
    this.#unansweredSince = null;
    this.#setSilent(false);
  }

  /** @param {Link["state"]} state */
  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.events.changed();
  }

  /** @param {boolean} silent */
  #setSilent(silent) {
    if (silent === this.silent) return;
    this.silent = silent;
    this.events.changed();
  }
}
