/** A hand that can be posed: synthetic landmarks that travel the same way as a camera's. */

import { poseOf } from "./hand-view.js";

/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./types.js").Sight} Sight */

const FPS = 30;
const CHANGE_MS = 160;
/** Of the picture's width: a hand is never quite still, and a detector never quite sure. */
const SWAY = 0.012;
const NOISE = 0.0012;
const ASPECT = 4 / 3;

export class SimulatedHand {
  /** @type {number | undefined} */
  #timer;
  /** @type {Point[]} */
  #from;
  /** @type {Point[]} */
  #to;
  #changed = -Infinity;
  #pose = "rest";

  /**
   * @param {Record<string, Point[]>} poses
   * @param {(sight: Sight) => void} seen
   */
  constructor(poses, seen) {
    this.poses = poses;
    this.seen = seen;
    this.#from = this.#to = poses.rest;
  }

  start() {
    this.#timer ??= setInterval(() => this.#shoot(), 1000 / FPS);
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  get pose() {
    return this.#pose;
  }

  /** Move to this pose, of a left hand for `left:` and a gesture. @param {string} pose */
  take(pose) {
    const points = poseOf(this.poses, pose);
    if (pose === this.#pose || !points) return;
    this.#from = this.#now();
    this.#to = points;
    this.#changed = performance.now();
    this.#pose = pose;
  }

  #now() {
    const done = Math.min((performance.now() - this.#changed) / CHANGE_MS, 1);
    const eased = done * done * (3 - 2 * done);
    return this.#to.map((to, n) => /** @type {Point} */ (to.map((value, axis) => this.#from[n][axis] + (value - this.#from[n][axis]) * eased)));
  }

  #shoot() {
    const t = performance.now() / 1000;
    const [x, y] = [SWAY * Math.sin(t * 1.7), SWAY * Math.sin(t * 1.1 + 1)];
    const shake = () => (Math.random() + Math.random() - 1) * NOISE;
    const points = this.#now().map((point) => /** @type {Point} */ ([point[0] + x + shake(), point[1] + y + shake(), point[2]]));
    const captured = performance.timeOrigin + performance.now();
    this.seen({ points, aspect: ASPECT, left: this.#pose.startsWith("left:"), captured, stages: {} });
  }
}
