/** How long replies take and how many come, of the recent past. */

const KEPT = 300;
const RATE_MS = 2000;

export class Meter {
  /** @type {number[]} */
  #waitsMs = [];
  /** @type {number[]} */
  #came = [];

  /** A reply came. @param {number | null} waitedMs since its frame was sent, where that is known */
  add(waitedMs) {
    this.#came.push(performance.now());
    if (waitedMs === null) return;
    this.#waitsMs.push(waitedMs);
    if (this.#waitsMs.length > KEPT) this.#waitsMs.shift();
  }

  /** @param {number} q 0 to 1 @returns {string} */
  quantile(q) {
    if (!this.#waitsMs.length) return "–";
    const sorted = [...this.#waitsMs].sort((a, b) => a - b);
    return `${sorted[Math.min(Math.floor(q * sorted.length), sorted.length - 1)].toFixed(0)} ms`;
  }

  /** @returns {string} replies per second */
  rate() {
    const since = performance.now() - RATE_MS;
    this.#came = this.#came.filter((at) => at > since);
    return this.#came.length ? (this.#came.length / (RATE_MS / 1000)).toFixed(0) : "–";
  }
}
