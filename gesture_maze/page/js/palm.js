/**
 * A held open palm: the sign that opens the menu and chooses from it. Pure; time comes from the frames.
 *
 * To avoid accidental signs, the palm must be seen with confidence, without a break, for a while and not
 * right after a move. Before a second sign, the hand must show something else.
 */

/** @typedef {import("./types.js").Reply} Reply */

const PALMS = new Set(["palm", "stop"]);
const SURE = 0.8;
/** Frames that show something else for less than this are ignored. */
const BREAK_MS = 150;
/** Without any frame for longer than this the palm counts as lowered; a slow phone sends 5 frames a second. */
const SILENCE_MS = 500;
const AFTER_MOVE_MS = 700;

export class Palm {
  #since = -Infinity;
  #seen = -Infinity;
  /** Time of the last frame that showed something else. */
  #other = -Infinity;
  #moved = -Infinity;
  /** Whether the hand has shown something else since the last sign. */
  #armed = true;
  #share = 0;

  /**
   * @param {Reply} reply
   * @param {number} holdMs how long the palm must be held
   * @returns {boolean} whether this frame completes the sign
   */
  add(reply, holdMs) {
    if (reply.move && reply.move !== "stop") this.#moved = reply.t;
    const open = reply.gesture !== null && PALMS.has(reply.gesture) && reply.confidence >= SURE;
    if (!open) {
      this.#other = reply.t;
      if (reply.t - this.#seen > BREAK_MS) this.#reset(true);
      return false;
    }
    const longest = this.#other > this.#seen ? BREAK_MS : SILENCE_MS;
    if (reply.t - this.#seen > longest || reply.t < this.#seen) this.#since = reply.t;
    this.#seen = reply.t;
    const begun = Math.max(this.#since, this.#moved + AFTER_MOVE_MS);
    this.#share = this.#armed ? Math.min(Math.max((reply.t - begun) / holdMs, 0), 1) : 0;
    if (this.#share < 1) return false;
    this.#reset(false);
    return true;
  }

  /** @returns {number} 0 to 1 of the way to the sign */
  get share() {
    return this.#share;
  }

  /** @param {boolean} armed */
  #reset(armed) {
    this.#armed = armed;
    this.#share = 0;
    this.#since = this.#seen = -Infinity;
  }
}
