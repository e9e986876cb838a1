/** Everything on the page that is told in words and numbers. */

import { drawBones, drawFlesh, drawIcon } from "./hand-view.js";
import { ARROWS, DIRECTIONS, element, seconds } from "./types.js";

/** @typedef {import("./types.js").Direction} Direction */
/** @typedef {import("./types.js").Point} Point */

/** @type {Record<string, string>} what a gesture is called on the page, where its own name says too little */
const NAMES = {
  like: "thumbs up",
  dislike: "thumbs down",
  four: "four fingers",
  three: "three fingers",
  no_gesture: "at rest",
};

/** @type {Record<Direction, string>} keys that pose the simulated hand */
export const POSE_KEYS = { up: "w", down: "s", left: "a", right: "d" };

/** @param {string | null} gesture @returns {string} */
export function nameOf(gesture) {
  return gesture ? (NAMES[gesture] ?? gesture.replaceAll("_", " ")) : "no hand";
}

/** The line that says how things stand. @param {string} state @param {string} text */
export function showState(state, text) {
  const line = element("state", HTMLElement);
  if (line.dataset.state !== state) line.dataset.state = state;
  const words = element("state-text", HTMLElement);
  if (words.textContent !== text) words.textContent = text;
}

/** @param {Record<string, string>} values by element id */
export function showNumbers(values) {
  for (const [id, text] of Object.entries(values)) {
    const shown = element(id, HTMLElement);
    if (shown.textContent !== text) shown.textContent = text;
  }
}

/** @param {string | null} gesture @param {number} confidence @param {Direction | null} action */
export function showGesture(gesture, confidence, action) {
  showNumbers({ gesture: nameOf(gesture), confidence: gesture ? `${Math.round(confidence * 100)} % sure` : "" });
  element("arrow", SVGTextElement).textContent = action ? ARROWS[action] : "";
  for (const button of document.querySelectorAll("#legend button")) {
    if (button instanceof HTMLElement) button.dataset.shown = String(button.dataset.way === action);
  }
}

/** @param {{ share: number, settled: boolean }} progress */
export function showRing(progress) {
  const ring = element("ring", SVGCircleElement);
  ring.style.visibility = progress.share ? "visible" : "hidden";
  ring.style.strokeDasharray = `${(progress.share * 100).toFixed(0)} 100`;
  ring.classList.toggle("settled", progress.settled);
}

/**
 * The four gestures: a drawing, an arrow and a key each; they pose the simulated hand.
 *
 * @param {Record<string, Direction>} actions gesture to direction
 * @param {Record<string, Point[]>} poses
 * @param {(way: Direction, gesture: string, held: boolean) => void} press
 */
export function fillLegend(actions, poses, press) {
  const legend = element("legend", HTMLElement);
  const gestureOf = Object.fromEntries(Object.entries(actions).map(([gesture, way]) => [way, gesture]));
  legend.replaceChildren(
    ...DIRECTIONS.filter((way) => gestureOf[way]).map((way) => legendButton(way, gestureOf[way], poses, press)),
  );
}

/**
 * @param {Direction} way
 * @param {string} gesture
 * @param {Record<string, Point[]>} poses
 * @param {(way: Direction, gesture: string, held: boolean) => void} press
 */
function legendButton(way, gesture, poses, press) {
  const button = document.createElement("button");
  button.dataset.way = way;
  button.dataset.gesture = gesture;
  button.setAttribute("aria-label", `${way}: ${nameOf(gesture)}`);
  const drawing = document.createElement("canvas");
  if (poses[gesture]) drawIcon(drawing, poses[gesture]);
  const arrow = document.createElement("b");
  arrow.textContent = `${ARROWS[way]} ${way}`;
  const name = document.createElement("small");
  name.textContent = nameOf(gesture);
  button.append(drawing, arrow, name);
  const hold = (/** @type {Event} */ event) => (event.preventDefault(), button.focus(), press(way, gesture, true));
  const rest = () => press(way, gesture, false);
  button.addEventListener("pointerdown", hold);
  for (const end of ["pointerup", "pointercancel", "pointerleave", "blur"]) button.addEventListener(end, rest);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("keydown", (event) => {
    if ((event.key === " " || event.key === "Enter") && !event.repeat) hold(event);
  });
  button.addEventListener("keyup", rest);
  return button;
}

/** Draw the legend again: the colours are others now. @param {Record<string, Point[]>} poses */
export function redrawLegend(poses) {
  for (const button of document.querySelectorAll("#legend button")) {
    const drawing = button.querySelector("canvas");
    const gesture = button instanceof HTMLElement ? button.dataset.gesture : undefined;
    if (drawing && gesture && poses[gesture]) drawIcon(drawing, poses[gesture]);
  }
}

/**
 * The hand that the game sees: over the camera's picture as bones, else drawn.
 *
 * @param {Point[] | null} points
 * @param {boolean} real a camera's
 */
export function showHand(points, real) {
  const canvas = element("hand", HTMLCanvasElement);
  const brush = canvas.getContext("2d");
  if (!brush) return;
  brush.clearRect(0, 0, canvas.width, canvas.height);
  if (!points) return;
  if (!real) drawFlesh(brush, points, canvas.width, canvas.height);
  drawBones(brush, points, canvas.width, canvas.height);
}

/** @param {import("./types.js").Size} size @param {string} mine the player's name */
export async function showScores(size, mine) {
  element("scores-size", HTMLElement).textContent = size;
  const list = element("scores", HTMLElement);
  const response = await fetch(`/scores/${size}`).catch(() => null);
  if (!response?.ok) return;
  /** @type {{ name: string, time_ms: number, moves: number, input: string }[]} */
  const places = await response.json();
  if (!places.length) {
    const nobody = document.createElement("li");
    nobody.className = "empty";
    nobody.textContent = "Nobody yet. Be the first.";
    return list.replaceChildren(nobody);
  }
  list.replaceChildren(...places.map((place) => {
    const line = document.createElement("li");
    line.classList.toggle("mine", place.name === mine);
    for (const [kind, text] of [["span", place.name], ["small", `${place.moves} moves, ${place.input}`], ["span", seconds(place.time_ms)]]) {
      const cell = document.createElement(kind);
      cell.textContent = text;
      if (text === place.name) cell.className = "who";
      line.append(cell);
    }
    return line;
  }));
}
