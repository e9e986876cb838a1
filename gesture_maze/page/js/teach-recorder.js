/** Records takes from what the camera sees, with a countdown, prompts and a meter of variety. */

import { ask } from "./teach-api.js";
import { element } from "./types.js";

/** @typedef {import("./types.js").Sight} Sight */
/** @typedef {import("./teach-api.js").Frame} Frame */

const READY_S = 2;
const MEASURE_MS = 400;
/** Number of hands from which the meter is computed. */
const MEASURED = 60;
const LEAST_HANDS = 5;
/** On a slow machine a recording may take this many times as long, until enough hands were seen. */
const MOST_TIMES = 4;

export class Recorder {
  /** @type {Frame[]} */
  #frames = [];
  /** @type {"idle" | "ready" | "on"} */
  #state = "idle";
  #stop = () => {};

  /** @param {(text: string) => void} prompt shows what to do */
  constructor(prompt) {
    this.prompt = prompt;
  }

  get busy() {
    return this.#state !== "idle";
  }

  /** @param {Sight} sight */
  add(sight) {
    if (this.#state === "on") this.#frames.push(frameOf(sight));
  }

  /** End a recording; what was recorded so far is dropped. */
  cancel() {
    this.#stop();
  }

  /**
   * @param {number} seconds
   * @param {string} words shown while it is recorded, instead of prompts for variety
   * @returns {Promise<Frame[] | null>} null if it was cancelled, or no hand was seen
   */
  async record(seconds, words = "") {
    let cancelled = false;
    const over = new Promise((resolve) => (this.#stop = () => ((cancelled = true), resolve(null))));
    this.#state = "ready";
    this.prompt(words || "Get ready: hold the gesture up.");
    await this.#count(READY_S, over);
    this.#frames = [];
    this.#state = "on";
    const meter = words ? 0 : setInterval(() => this.#measure(), MEASURE_MS);
    if (!cancelled) await this.#count(seconds, over);
    for (let extra = seconds; !cancelled && extra < MOST_TIMES * seconds && this.#hands < LEAST_HANDS; extra++) {
      await this.#count(1, over);
    }
    clearInterval(meter);
    this.#state = "idle";
    show("");
    const found = this.#frames;
    if (cancelled) return null;
    if (this.#hands >= LEAST_HANDS) return found;
    this.prompt("No hand was seen. Hold it up so that all fingers are in the picture, and try again.");
    return null;
  }

  /** @returns {number} recorded frames with a hand */
  get #hands() {
    return this.#frames.filter((frame) => frame.landmarks.length).length;
  }

  /** @param {number} seconds @param {Promise<unknown>} over */
  async #count(seconds, over) {
    for (let left = seconds; left > 0; left--) {
      show(this.#state === "on" ? `● ${left}` : String(left), this.#state === "on");
      let timer = 0;
      const wait = new Promise((resolve) => (timer = window.setTimeout(resolve, 1000, "waited")));
      const ended = await Promise.race([wait, over]);
      clearTimeout(timer);
      if (ended === null) return;
    }
  }

  async #measure() {
    const hands = this.#frames.filter((frame) => frame.landmarks.length);
    if (hands.length < LEAST_HANDS) return;
    const step = Math.ceil(hands.length / MEASURED);
    const found = await measured(hands.filter((_, at) => at % step === 0)).catch(() => null);
    if (found && this.#state === "on") this.prompt(found.prompt);
  }
}

/** @param {Frame[]} hands @returns {Promise<import("./teach-api.js").Variety>} */
async function measured(hands) {
  const found = await ask("variety", "POST", {
    hands: hands.map((frame) => frame.landmarks),
    left: hands.map((frame) => frame.hand === "left"),
    aspect: hands[0].aspect,
  });
  showVariety(found);
  return found;
}

/** @param {Partial<import("./teach-api.js").Variety>} found */
export function showVariety(found) {
  for (const meter of /** @type {NodeListOf<HTMLMeterElement>} */ (document.querySelectorAll("#variety meter"))) {
    meter.value = Number(found[/** @type {keyof typeof found} */ (meter.dataset.kind)] ?? 0);
  }
}

/** @param {Sight} sight @returns {Frame} */
export function frameOf(sight) {
  return {
    t: Math.round(sight.captured),
    aspect: sight.aspect,
    hand: sight.points ? (sight.left ? "left" : "right") : null,
    landmarks: sight.points ?? [],
  };
}

/** @param {string} text @param {boolean} [on] recording */
function show(text, on = false) {
  const box = element("countdown", HTMLElement);
  box.hidden = !text;
  box.textContent = text;
  box.classList.toggle("on", on);
}
