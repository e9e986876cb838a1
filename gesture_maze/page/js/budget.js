/** The recent latency between a hand and the screen, by stage. */

const KEPT = 200;
const RATE_MS = 2000;

/** @typedef {"camera" | "tracker" | "page" | "network" | "pool" | "settle" | "paint"} Stage */

/** @type {[Stage, string, string][]} stage, its name on the page, what it is */
export const STAGES = [
  ["camera", "Camera", "from the picture to the page"],
  ["tracker", "Hand tracker", "finding 21 points in the picture"],
  ["page", "Waiting to be sent", "in this page"],
  ["network", "Network", "to the game and back"],
  ["pool", "Recognition", "gateway, queue and model"],
  ["settle", "Being sure", "frames that must agree before a move"],
  ["paint", "Drawing", "from the answer to the screen"],
];

export class Budget {
  /** @type {Map<string, number[]>} */
  #ms = new Map();
  /** @type {number[]} */
  #came = [];

  /** @param {Stage | "reply"} stage @param {number} ms */
  add(stage, ms) {
    const list = this.#ms.get(stage) ?? [];
    this.#ms.set(stage, list);
    list.push(Math.max(ms, 0));
    if (list.length > KEPT) list.shift();
  }

  /** A reply came. @param {number | null} waitedMs since its frame was sent, where that is known */
  replied(waitedMs) {
    this.#came.push(performance.now());
    if (waitedMs !== null) this.add("reply", waitedMs);
  }

  /** @param {string} stage @param {number} q 0 to 1 @returns {number | null} ms; null before the first sample */
  quantile(stage, q) {
    const list = this.#ms.get(stage);
    if (!list?.length) return null;
    const sorted = [...list].sort((a, b) => a - b);
    return sorted[Math.min(Math.floor(q * sorted.length), sorted.length - 1)];
  }

  /** @returns {string} replies per second */
  rate() {
    const since = performance.now() - RATE_MS;
    this.#came = this.#came.filter((at) => at > since);
    return this.#came.length ? (this.#came.length / (RATE_MS / 1000)).toFixed(0) : "–";
  }

  /** Discard the measurements of another input. */
  clear() {
    this.#ms.clear();
    this.#came = [];
  }
}

/** @param {number | null} ms @returns {string} */
export function inMs(ms) {
  return ms === null ? "–" : `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

/** Call back once the next picture of the page is on its way to the screen. @param {() => void} call */
export function afterPaint(call) {
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = call;
    channel.port2.postMessage(null);
  });
}
