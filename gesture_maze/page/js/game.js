/** The game's page: what comes from where, and who is told. */

import { Camera } from "./camera.js";
import { Link } from "./link.js";
import { MazeView, openWays } from "./maze-view.js";
import { Meter } from "./meter.js";
import * as panel from "./panel.js";
import { Settling } from "./settling.js";
import { SimulatedHand } from "./simulated.js";
import { element, seconds } from "./types.js";

/** @typedef {import("./types.js").Direction} Direction */
/** @typedef {import("./types.js").Game} Game */
/** @typedef {import("./types.js").Input} Input */
/** @typedef {import("./types.js").Sight} Sight */
/** @typedef {import("./types.js").Size} Size */

const NAME_KEY = "maze.name";
const NUMBERS_MS = 100;
/** A hand that is missed for a moment is no reason to complain. */
const NO_HAND_MS = 800;
const MOST_SEEDS = 2 ** 31 - 1;

const asked = new URLSearchParams(location.search);
const poses = await (await fetch("/game/hands.json")).json();
const view = new MazeView(element("maze", HTMLCanvasElement));
const meter = new Meter();
const settling = new Settling();
const name = element("name", HTMLInputElement);
name.value = localStorage.getItem(NAME_KEY) ?? "";

/** @type {Game | null} */
let game = null;
/** When `game` was as it is. */
let gameAt = 0;
/** @type {Input} */
let input = "simulated";
let handSeenAt = performance.now();

const link = new Link(() => name.value, { welcome, reply, message, changed: showState });
const simulated = new SimulatedHand(poses, seen);
const camera = new Camera(
  element("video", HTMLVideoElement),
  document.querySelector('meta[name="hands"]')?.getAttribute("content") ?? "",
  { cpu: asked.has("cpu"), model: asked.get("model") === "0" ? 0 : 1 },
  { seen, changed: showState },
);

// --- from the gateway

/** @param {import("./types.js").Welcome} news */
function welcome(news) {
  panel.fillLegend(news.actions, poses, press);
  sayInput();
  if (news.game && !news.game.finished) show(news.game);
  else begin(game && !game.finished ? game.seed : undefined);
  panel.showScores(size(), news.name);
}

/** @param {import("./types.js").Reply} news @param {number | null} waitedMs */
function reply(news, waitedMs) {
  meter.add(waitedMs);
  settling.hear(news);
  panel.showGesture(news.gesture, news.confidence, news.action);
}

/** @param {any} news */
function message(news) {
  if (news.type === "maze") show(news);
  else if (news.type === "at") walk(news);
  else if (news.type === "finished") finish(news);
  else if (news.type === "refused") console.warn(`refused: ${news.reason}: ${news.detail}`);
}

// --- the game

/** @param {number} [seed] */
function begin(seed) {
  const fixed = asked.get("seed");
  const fresh = fixed ? Number(fixed) : Math.floor(Math.random() * MOST_SEEDS);
  link.send({ type: "start", size: size(), seed: seed ?? fresh });
}

/** @param {Game} news */
function show(news) {
  game = news;
  gameAt = performance.now();
  element("done", HTMLElement).hidden = true;
  const chosen = document.querySelector(`input[name="size"][value="${news.size}"]`);
  if (chosen instanceof HTMLInputElement) chosen.checked = true;
  view.show(news, news.cell);
  sayWhere();
}

/** @param {import("./types.js").Where} news */
function walk(news) {
  if (!game) return;
  const bumped = news.cell === game.cell && news.move && news.move !== "stop" ? news.move : null;
  game = { ...game, ...news };
  gameAt = performance.now();
  if (bumped) view.bump(bumped);
  else view.walk(news.cell);
  sayWhere();
}

/** @param {import("./types.js").Finished} news */
function finish(news) {
  const place = news.rank ? ` Place ${news.rank} on the scoreboard.` : "";
  element("done-text", HTMLElement).textContent = `${news.moves} moves in ${seconds(news.time_ms)}.${place}`;
  element("done", HTMLElement).hidden = false;
  element("next", HTMLElement).focus();
  simulated.take("rest");
  panel.showScores(size(), name.value);
}

/** For those who do not see the canvas. */
function sayWhere() {
  if (!game) return;
  const [row, column] = [Math.floor(game.cell / game.width) + 1, (game.cell % game.width) + 1];
  const ways = openWays(game, game.cell).join(", ");
  const words = `Row ${row} of ${game.height}, column ${column} of ${game.width}. Open: ${ways}.`;
  element("maze", HTMLElement).setAttribute("aria-label", `Maze. ${words} The exit is at the lower right.`);
  element("where", HTMLElement).textContent = words;
  element("maze", HTMLElement).dataset.cell = String(game.cell);
}

/** @returns {Size} */
function size() {
  const chosen = document.querySelector('input[name="size"]:checked');
  return /** @type {Size} */ (chosen instanceof HTMLInputElement ? chosen.value : "small");
}

// --- from the player

/** A frame of whichever camera it is. @param {Sight} sight */
function seen(sight) {
  if (sight.points) handSeenAt = performance.now();
  panel.showHand(sight.points, input === "camera");
  link.offer(sight);
}

/** A gesture button. @param {Direction} way @param {string} gesture @param {boolean} held */
function press(way, gesture, held) {
  if (input === "simulated") {
    if (held || simulated.pose === gesture) simulated.take(held ? gesture : "rest");
  } else if (input === "keyboard" && held) {
    link.send({ type: "key", move: way });
  }
}

/** @type {Record<string, Direction>} */
const ARROW_KEYS = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right" };

addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement || event.ctrlKey || event.altKey || event.metaKey) return;
  const way = ARROW_KEYS[event.key];
  if (way) {
    event.preventDefault();
    link.send({ type: "key", move: way });
  } else if (!event.repeat) {
    poseByKey(event.key, true);
  }
});
addEventListener("keyup", (event) => poseByKey(event.key, false));

/** @param {string} key @param {boolean} held */
function poseByKey(key, held) {
  for (const button of document.querySelectorAll("#legend button")) {
    if (!(button instanceof HTMLElement)) continue;
    const way = /** @type {Direction} */ (button.dataset.way);
    if (panel.POSE_KEYS[way] === key.toLowerCase() && input === "simulated") press(way, button.dataset.gesture ?? "", held);
  }
}

element("setup", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  begin();
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
});
element("setup", HTMLFormElement).addEventListener("change", (event) => {
  if (event.target === name) {
    localStorage.setItem(NAME_KEY, name.value);
    game = null;
    link.renew();
  } else {
    begin();
    panel.showScores(size(), name.value);
  }
});
element("next", HTMLElement).addEventListener("click", () => begin());
for (const button of document.querySelectorAll("[data-input]")) {
  button.addEventListener("click", () => choose(/** @type {Input} */ (button.getAttribute("data-input"))));
}

// --- what it is played with

/** @param {Input} chosen */
function choose(chosen) {
  input = chosen;
  for (const button of document.querySelectorAll("[data-input]")) {
    button.setAttribute("aria-pressed", String(button.getAttribute("data-input") === chosen));
  }
  if (chosen === "simulated") simulated.start();
  else simulated.stop();
  if (chosen === "camera") {
    handSeenAt = performance.now();
    camera.start();
  } else if (camera.state !== "off") camera.stop();
  panel.showHand(null, false);
  panel.showGesture(null, 0, null);
  sayInput();
  showState();
}

/** @type {Record<Input, string>} */
const HINTS = {
  camera: "Hold one hand up to the camera. Left or right hand, both work. The arrow keys help out.",
  simulated: "Hold a gesture button, or W A S D. Its landmarks go the whole way: gateway, stream, worker and back.",
  keyboard: "Arrow keys, or the buttons. These steps are not seen by any model.",
};

function sayInput() {
  element("hint", HTMLElement).textContent = HINTS[input];
  for (const button of document.querySelectorAll("#legend button")) {
    if (button instanceof HTMLButtonElement) button.disabled = input === "camera";
  }
  if (input !== "keyboard") link.send({ type: "input", input });
}

// --- what the player is told

/** @type {Partial<Record<Link["state"], [string, string]>>} */
const LINK_WORDS = {
  connecting: ["connecting", "Connecting to the game …"],
  reconnecting: ["reconnecting", "The line broke. Coming back; your maze is kept …"],
  replaced: ["refused", "The game goes on in another window. Reload to bring it back here."],
  full: ["refused", "The game is full. Trying again in a few seconds …"],
};
/** @type {Partial<Record<Camera["state"], [string, string]>>} */
const CAMERA_WORDS = {
  asking: ["camera", "Allow the camera, please."],
  loading: ["camera", "Loading the hand tracker: a few seconds, the first time …"],
  denied: ["no-camera", "The camera is not allowed. Allow it in the address bar, or play with the simulated hand."],
  missing: ["no-camera", "No camera was found. Play with the simulated hand or the keyboard."],
  failed: ["no-camera", "The hand tracker could not be loaded. Play with the simulated hand or the keyboard."],
};

/** @returns {[string, string]} */
function standing() {
  const trouble = LINK_WORDS[link.state];
  if (trouble) return trouble;
  if (link.silent) {
    return ["no-worker", "No worker reads your hand just now. The game goes on by itself when one is back; arrow keys still work."];
  }
  if (input === "camera") {
    const words = CAMERA_WORDS[camera.state];
    if (words) return words;
    if (camera.dark) return ["dark", "Too dark to see a hand: turn on a light."];
    if (performance.now() - handSeenAt > NO_HAND_MS) return ["no-hand", "No hand in the picture: hold one up, fingers in view."];
  }
  return ["playing", game?.finished ? "You are out. Another one?" : "Find the way to the star."];
}

function showState() {
  panel.showState(...standing());
}

function showNumbers() {
  const running = game?.running ? performance.now() - gameAt : 0;
  panel.showNumbers({
    moves: String(game?.moves ?? 0),
    time: seconds((game?.time_ms ?? 0) + running),
    p50: meter.quantile(0.5),
    p99: meter.quantile(0.99),
    fps: meter.rate(),
  });
  showState();
}

setInterval(showNumbers, NUMBERS_MS);
setInterval(() => panel.showRing(settling.progress), 50);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => panel.redrawLegend(poses));
const wanted = document.querySelector(`input[name="size"][value="${asked.get("size") ?? "small"}"]`);
if (wanted instanceof HTMLInputElement) wanted.checked = true;
link.open();
choose(/** @type {Input} */ (["camera", "keyboard"].find((one) => one === asked.get("input")) ?? "simulated"));
