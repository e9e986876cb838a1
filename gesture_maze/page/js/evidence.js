/**
 * How much evidence a gesture has gathered towards its move: what the ring shows.
 *
 * Follows the pool's policy (`worker/policy.py`) from its replies, with its default settings. If a pool has
 * other settings, the ring is a little early or late; nothing else depends on it.
 */

/** @typedef {import("./types.js").Direction} Direction */
/** @typedef {import("./types.js").Reply} Reply */

const BOUND = 1000;
const FRAME_MS = 33;
const LONGEST_FRAME_MS = 99;
const MOST_ODDS = 400;
const OTHER_COST = [50, 300];
const EMPTY_COST = 150;
const FIRST_REPEAT_MS = 400;
const REPEAT_MS = 250;

/** @param {number} confidence 0 to 1 @returns {number} 100 times the logarithm of its odds, -400 to 400 */
export function oddsOf(confidence) {
  const thousandths = Math.round(confidence * 1000);
  if (thousandths <= 0) return -MOST_ODDS;
  if (thousandths >= 1000) return MOST_ODDS;
  return clamp(Math.round(100 * Math.log(thousandths / (1000 - thousandths))), -MOST_ODDS, MOST_ODDS);
}

export class Evidence {
  /** How long the last gesture that settled took, ms of its frames' capture times; null before the first. */
  settledMs = /** @type {number | null} */ (null);
  /** @type {Direction | null} */
  #leading = null;
  #leadingSince = 0;
  #score = 0;
  #last = 0;
  /** @type {Direction | null} */
  #held = null;
  #repeatAt = 0;
  #repeatMs = FIRST_REPEAT_MS;

  /** @param {Record<string, Direction>} actions gesture, or `left:` or `right:` and a gesture, to direction */
  constructor(actions) {
    this.actions = actions;
  }

  /** @param {Reply} reply */
  add(reply) {
    const gap = Math.max(reply.t - this.#last, 0);
    this.#last = reply.t;
    const action = (reply.gesture && (this.actions[`${reply.hand}:${reply.gesture}`] ?? this.actions[reply.gesture])) || null;
    if (reply.move === "stop") this.#held = null;
    else if (reply.move) return this.#moved(reply.move, reply.t);
    if (action && action === this.#held) this.#leading = null;
    else this.#collect(reply, action, gap);
  }

  /** @param {Direction} way @param {number} t */
  #moved(way, t) {
    this.#repeatMs = this.#held === way ? REPEAT_MS : FIRST_REPEAT_MS;
    this.#repeatAt = performance.now() + this.#repeatMs;
    if (this.#held !== way) this.settledMs = this.#leading === way ? t - this.#leadingSince : 0;
    this.#held = way;
    this.#leading = null;
  }

  /** @param {Reply} reply @param {Direction | null} action @param {number} gap */
  #collect(reply, action, gap) {
    const odds = oddsOf(reply.confidence);
    let score = 0;
    if (this.#score > 0 && this.#leading) {
      const cost = reply.gesture ? clamp(odds, OTHER_COST[0], OTHER_COST[1]) : EMPTY_COST;
      const shown = Math.floor((odds * Math.min(gap, LONGEST_FRAME_MS)) / FRAME_MS);
      score = this.#score + (action === this.#leading ? shown : -cost);
    }
    if (score > 0) {
      this.#score = score;
      return;
    }
    this.#leading = action;
    this.#leadingSince = reply.t;
    this.#score = action ? Math.max(odds, 0) : 0;
  }

  /** @returns {{ share: number, settled: boolean }} share 0 to 1 of the way to the next move */
  get progress() {
    if (this.#leading) return { share: clamp(this.#score / BOUND, 0, 1), settled: false };
    if (!this.#held) return { share: 0, settled: false };
    return { share: clamp(1 - (this.#repeatAt - performance.now()) / this.#repeatMs, 0, 1), settled: true };
  }
}

/** @param {number} value @param {number} least @param {number} most */
function clamp(value, least, most) {
  return Math.min(Math.max(value, least), most);
}
