/** What the page shows in words and numbers, beside the maze. */

import { STAGES, inMs } from "./budget.js";
import { drawBones, drawFlesh, drawIcon, poseOf } from "./hand-view.js";
import { openWays } from "./maze-view.js";
import { ARROWS, DIRECTIONS, address, element } from "./types.js";

/** @typedef {import("./types.js").Direction} Direction */
/** @typedef {import("./types.js").Point} Point */

/** @type {Record<string, string>} names on the page for gestures whose own name is unclear */
const NAMES = {
  like: "thumbs up",
  dislike: "thumbs down",
  four: "four fingers",
  three: "three fingers",
  no_gesture: "at rest",
  palm: "open palm",
  stop: "open palm",
};

/** @type {Record<Direction, string>} keys that pose the simulated hand */
export const POSE_KEYS = { up: "w", down: "s", left: "a", right: "d" };

/** @type {Record<import("./types.js").Input, string>} */
const HINTS = {
  camera: "Hold one hand up to the camera, left or right. A held open palm opens the menu. The arrow keys work too.",
  simulated: "Hold a gesture button, or W A S D; E is an open palm, which opens the menu when held.",
  keyboard: "Arrow keys, or the buttons. No hand is looked at.",
};

/** Without a keyboard. */
const TOUCH_HINT = "Hold a button: the hand shows its gesture.";

/** What the game is played with. @param {import("./types.js").Input} input */
export function showInput(input) {
  const touched = input === "simulated" && matchMedia("(pointer: coarse)").matches;
  element("hint", HTMLElement).textContent = touched ? TOUCH_HINT : HINTS[input];
  document.body.dataset.input = input;
  for (const button of document.querySelectorAll("#legend button")) {
    if (button instanceof HTMLButtonElement) button.disabled = input === "camera";
  }
}

/** @param {string | null} gesture @returns {string} */
export function nameOf(gesture) {
  if (!gesture) return "no hand";
  const [name, hand] = gesture.split(":").reverse();
  const shown = NAMES[name] ?? name.replaceAll("_", " ");
  return hand ? `${shown}, ${hand} hand` : shown;
}

/**
 * The state of the game, in one sentence, with a button where the player can do something about it.
 *
 * @param {import("./words.js").Standing} standing
 */
export function showState({ state, text, action }) {
  const line = element("state", HTMLElement);
  if (line.dataset.state !== state) line.dataset.state = state;
  showNumbers({ "state-text": text, "state-act": action?.name ?? "" });
  const button = element("state-act", HTMLButtonElement);
  button.hidden = !action;
  button.onclick = action?.run ?? null;
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

/** No frames are read at the moment: clear what was shown of the last one. */
export function showUnread() {
  showGesture(null, 0, null);
  showNumbers({ gesture: "not read" });
}

/** @param {{ share: number, settled: boolean }} progress of a move, or of a held palm */
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
  // of several gestures with one direction, one that has a drawing, and before those of one hand
  const rank = (/** @type {string} */ gesture) => (poseOf(poses, gesture) ? 0 : 2) + (gesture.includes(":") ? 1 : 0);
  const ordered = Object.entries(actions).sort(([one], [other]) => rank(other) - rank(one));
  const gestureOf = Object.fromEntries(ordered.map(([gesture, way]) => [way, gesture]));
  learnPoses(actions, poses);
  legend.replaceChildren(
    ...DIRECTIONS.filter((way) => gestureOf[way]).map((way) => legendButton(way, gestureOf[way], poses, press)),
  );
}

/**
 * Fetch the drawings of gestures that the pool has learned since the page was opened.
 *
 * @param {Record<string, Direction>} actions
 * @param {Record<string, Point[]>} poses
 */
async function learnPoses(actions, poses) {
  if (Object.keys(actions).every((gesture) => poseOf(poses, gesture))) return;
  const found = await fetch(address("game/hands.json")).catch(() => null);
  if (!found?.ok) return;
  Object.assign(poses, await found.json());
  redrawLegend(poses);
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
  const pose = poseOf(poses, gesture);
  if (pose) drawIcon(drawing, pose);
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

/** Draw the legend again, after the colours have changed. @param {Record<string, Point[]>} poses */
export function redrawLegend(poses) {
  for (const button of document.querySelectorAll("#legend button")) {
    const drawing = button.querySelector("canvas");
    const gesture = button instanceof HTMLElement ? button.dataset.gesture : undefined;
    const pose = gesture && poseOf(poses, gesture);
    if (drawing && pose) drawIcon(drawing, pose);
  }
}

/**
 * The hand that the game sees: over the camera's picture as bones, else drawn.
 *
 * @param {Point[] | null} points
 * @param {boolean} real a camera's
 * @param {number} aspect picture width / height
 */
export function showHand(points, real, aspect = 4 / 3) {
  const canvas = element("hand", HTMLCanvasElement);
  const brush = canvas.getContext("2d");
  if (!brush) return;
  const high = Math.round(canvas.width / aspect);
  if (canvas.height !== high) canvas.height = high;
  brush.clearRect(0, 0, canvas.width, canvas.height);
  if (!points) return;
  if (!real) drawFlesh(brush, points, canvas.width, canvas.height);
  drawBones(brush, points, canvas.width, canvas.height);
}

/**
 * Where the milliseconds go: one line per stage, with a bar.
 *
 * @param {import("./budget.js").Budget} budget
 */
export function showBudget(budget) {
  const known = STAGES.map(([stage, name, what]) => ({ stage, name, what, ms: budget.quantile(stage, 0.5) }));
  const total = known.reduce((sum, one) => sum + (one.ms ?? 0), 0);
  const list = element("stages", HTMLElement);
  if (list.childElementCount !== known.length + 1) {
    list.replaceChildren(...[...known, null].map(() => stageLine()));
  }
  [...known, { stage: "total", name: "Total", what: "from the hand to the screen", ms: total }].forEach((one, at) => {
    const [name, value] = list.children[at].querySelectorAll("span");
    const bar = list.children[at].querySelector("meter");
    name.textContent = one.name;
    name.title = one.what;
    value.textContent = inMs(one.ms);
    if (bar) bar.value = total ? (one.ms ?? 0) / total : 0;
    if (bar) bar.setAttribute("aria-label", `${one.name}: ${one.what}`);
  });
}

function stageLine() {
  const line = document.createElement("li");
  line.append(document.createElement("span"), document.createElement("meter"), document.createElement("span"));
  return line;
}

/**
 * The figures of the corner "Speed".
 *
 * @param {import("./budget.js").Budget} budget
 * @param {import("./camera.js").Camera} camera
 */
export function showSpeed(budget, camera) {
  const { shown, tracked } = camera.counts;
  showNumbers({
    p50: inMs(budget.quantile("reply", 0.5)),
    p99: inMs(budget.quantile("reply", 0.99)),
    fps: `${budget.rate()} a second`,
    used: shown ? `${tracked} of ${shown}${camera.place === "worker" ? "" : ", on the page's thread"}` : "–",
  });
  if (element("budget", HTMLDetailsElement).open) showBudget(budget);
}

/** @param {number} left seconds until the race starts @returns {boolean} whether another number is shown now */
export function showCountdown(left) {
  const [shown, text] = [element("countdown", HTMLElement), left ? String(left) : ""];
  if (shown.textContent === text) return false;
  shown.textContent = text;
  shown.hidden = !left;
  return true;
}

/** For players who do not see the canvas. @param {import("./types.js").Game} game */
export function showWhere(game) {
  const [row, column] = [Math.floor(game.cell / game.width) + 1, (game.cell % game.width) + 1];
  const ways = openWays(game, game.cell).join(", ");
  const words = `Row ${row} of ${game.height}, column ${column} of ${game.width}. Open: ${ways}.`;
  element("maze", HTMLElement).setAttribute("aria-label", `Maze. ${words} The exit is at the lower right.`);
  element("where", HTMLElement).textContent = words;
  element("maze", HTMLElement).dataset.cell = String(game.cell);
  element("maze", HTMLElement).dataset.seed = String(game.seed);
}
