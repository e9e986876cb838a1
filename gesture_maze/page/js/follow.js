/** Which of the hands in the picture is the player's: the one that was followed before. Pure; time is passed in. */

/** @typedef {import("./types.js").Point} Point */

/**
 * @typedef {object} Hand
 * @property {Point[]} points
 * @property {boolean} left it is a left hand
 */

/** In palm lengths: how far a hand can move between two pictures, and per second. */
const REACH = 1;
const REACH_PER_S = 12;
/** Time after which a hand that is gone is no longer followed, and another one may be. */
const GIVEN_UP_MS = 700;
/** How long the page shows a note after two hands were seen. */
const NOTE_MS = 2000;

export class Follower {
  /** @type {{ x: number, y: number, size: number } | null} */
  #last = null;
  #lastAt = -Infinity;
  #othersAt = -Infinity;

  /**
   * @param {Hand[]} hands all that the tracker found in one picture
   * @param {number} aspect picture width / height
   * @param {number} now ms
   * @returns {Hand | null} the one that is followed
   */
  choose(hands, aspect, now) {
    if (hands.length > 1) this.#othersAt = now;
    if (now - this.#lastAt > GIVEN_UP_MS) this.#last = null;
    const last = this.#last;
    const placed = hands.map((hand) => ({ hand, place: placeOf(hand.points, aspect) }));
    // no hand is followed yet: the largest hand is the nearest to the camera
    const ranked = placed.sort((a, b) =>
      last ? distance(a.place, last) - distance(b.place, last) : b.place.size - a.place.size);
    const first = ranked[0];
    if (!first) return null;
    if (last && distance(first.place, last) > reach(first.place, last, now - this.#lastAt)) {
      this.#othersAt = now;
      return null;
    }
    this.#last = first.place;
    this.#lastAt = now;
    return first.hand;
  }

  /** Whether a second hand was seen recently. @param {number} now ms */
  seesOthers(now) {
    return now - this.#othersAt < NOTE_MS;
  }
}

/** @param {Point[]} points @param {number} aspect */
function placeOf(points, aspect) {
  const [wrist, knuckle] = [points[0], points[9]];
  const size = Math.hypot((knuckle[0] - wrist[0]) * aspect, knuckle[1] - wrist[1]);
  return { x: knuckle[0] * aspect, y: knuckle[1], size };
}

/** @param {{ x: number, y: number }} a @param {{ x: number, y: number }} b */
function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

/** @param {{ size: number }} a @param {{ size: number }} b @param {number} elapsedMs */
function reach(a, b, elapsedMs) {
  return Math.max(a.size, b.size) * (REACH + (REACH_PER_S * elapsedMs) / 1000);
}
