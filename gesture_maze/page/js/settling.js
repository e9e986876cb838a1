/** How far a gesture has come towards its move: what the ring shows. Follows the pool's policy from afar. */

/** @typedef {import("./types.js").Reply} Reply */

/** The pool's defaults; where it is told others, the ring is a little early or late and nothing else changes. */
const SETTLE_MS = 120;
const FIRST_REPEAT_MS = 400;
const REPEAT_MS = 250;
const ENTER = 0.7;

export class Settling {
  /** @type {string | null} */
  #leading = null;
  #since = 0;
  /** @type {number | null} when the next repeat is due, once settled */
  #next = null;
  #wait = SETTLE_MS;

  /** @param {Reply} reply */
  hear(reply) {
    const now = performance.now();
    const leading = reply.action && reply.confidence >= ENTER ? reply.action : null;
    if (reply.move && reply.move !== "stop") {
      this.#wait = this.#next === null || leading !== this.#leading ? FIRST_REPEAT_MS : REPEAT_MS;
      this.#next = now + this.#wait;
    } else if (reply.move === "stop") {
      this.#next = null;
    }
    if (leading !== this.#leading) {
      this.#leading = leading;
      this.#since = now;
      if (!reply.move) this.#next = null;
    }
  }

  /** @returns {{ share: number, settled: boolean }} share 0 to 1 of the way to the next move */
  get progress() {
    const now = performance.now();
    if (this.#next !== null) return { share: clamp(1 - (this.#next - now) / this.#wait), settled: true };
    if (!this.#leading) return { share: 0, settled: false };
    return { share: clamp((now - this.#since) / SETTLE_MS), settled: false };
  }
}

/** @param {number} value */
function clamp(value) {
  return Math.min(Math.max(value, 0), 1);
}
