/** The keyboard: arrow keys walk, letters pose the simulated hand. */

import { POSE_KEYS } from "./panel.js";

/** @typedef {import("./types.js").Direction} Direction */

/** @type {Record<string, Direction>} */
const ARROW_KEYS = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right" };
const PALM_KEY = "e";

/**
 * @typedef {object} KeyEvents
 * @property {(way: Direction) => void} arrow
 * @property {() => void} escape
 * @property {(way: Direction, gesture: string, held: boolean) => void} pose a gesture of the legend
 * @property {(held: boolean) => void} palm
 */

/** @param {KeyEvents} events */
export function connectKeys(events) {
  addEventListener("keydown", (event) => {
    // only a field that takes text or choices keeps its arrow keys: a button that was clicked does not
    if (isTyping(event.target) || event.ctrlKey || event.altKey || event.metaKey) return;
    const way = ARROW_KEYS[event.key];
    if (event.key === "Escape") events.escape();
    else if (way) {
      event.preventDefault();
      events.arrow(way);
    } else if (!event.repeat) pose(event.key, true, events);
  });
  addEventListener("keyup", (event) => pose(event.key, false, events));
}

/** @param {EventTarget | null} target @returns {boolean} whether the player types or chooses there */
function isTyping(target) {
  if (target instanceof HTMLInputElement) return target.type === "text" && !target.readOnly;
  return target instanceof HTMLSelectElement;
}

/** @param {string} key @param {boolean} held @param {KeyEvents} events */
function pose(key, held, events) {
  if (key.toLowerCase() === PALM_KEY) return events.palm(held);
  for (const button of document.querySelectorAll("#legend button")) {
    if (!(button instanceof HTMLElement)) continue;
    const way = /** @type {Direction} */ (button.dataset.way);
    if (POSE_KEYS[way] === key.toLowerCase()) events.pose(way, button.dataset.gesture ?? "", held);
  }
}
