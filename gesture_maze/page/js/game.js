/** The game's page: connects the gateway, the hand, the maze and the player. */

import { anySeed, isRaceId, seedAsked, setAddress } from "./asked.js";
import { bestTime, ghostOf, noteWalk } from "./best.js";
import { Budget, afterPaint } from "./budget.js";
import { Camera } from "./camera.js";
import { Evidence } from "./evidence.js";
import { connectKeys } from "./keys.js";
import { Link } from "./link.js";
import { MazeView } from "./maze-view.js";
import { Menu, choicesOf } from "./menu.js";
import { Naming } from "./naming.js";
import { Palm } from "./palm.js";
import * as panel from "./panel.js";
import { RaceView } from "./race.js";
import { resultOf, showScores } from "./scores.js";
import { connectButtons, mark, setName } from "./setup.js";
import { SimulatedHand } from "./simulated.js";
import { Sound } from "./sound.js";
import { address, element, seconds } from "./types.js";
import { standing } from "./words.js";

/** @typedef {import("./types.js").Direction} Direction */
/** @typedef {import("./types.js").Game} Game */
/** @typedef {import("./types.js").Input} Input */
/** @typedef {import("./types.js").Sight} Sight */
/** @typedef {import("./types.js").Size} Size */

const NUMBERS_MS = 100;
/** Time without a hand after which the page says so. */
const NO_HAND_MS = 800;
/** How long an open palm must be held: to open the menu, to choose from it, to continue after a walk. */
const OPEN_MENU_MS = 1500;
const CHOOSE_MS = 1000;
const NEXT_MAZE_MS = 1200;
const DEFAULT_SIZE = "small";

const asked = new URLSearchParams(location.search);
const poses = await (await fetch(address("game/hands.json"))).json();
const view = new MazeView(element("maze", HTMLCanvasElement));
const budget = new Budget();
const palm = new Palm();
const sound = new Sound();
const menu = new Menu(paused);
const name = element("name", HTMLInputElement);

/** @type {Game | null} */
let game = null;
/** When `game` was last updated, ms of `performance.now`. */
let gameAt = 0;
/** When the race opens, ms of `performance.now`. */
let opensAt = 0;
/** @type {[number, number][]} the walk so far, for the ghost of the next one */
let steps = [];
/** @type {Size} */
let size = DEFAULT_SIZE;
/** @type {Input} */
let input = "simulated";
let handSeenAt = performance.now();
let gatewayMs = 0;
let evidence = new Evidence({});
/** The race of the page's address, joined at the first welcome. */
let raceAsked = asked.get("race");
/** @type {"no_race" | "race_full" | null} why the race of a link was not joined */
let refusal = null;

const link = new Link(() => name.value, { welcome, reply, message, changed: showState });
const race = new RaceView(view, { go: () => link.send({ type: "go" }), leave: () => begin() });
const naming = new Naming({ paused, renamed, enter: (id) => link.send({ type: "race", id, size }), declined: forgetRace });
const simulated = new SimulatedHand(poses, seen);
const camera = new Camera(
  element("video", HTMLVideoElement),
  address(document.querySelector('meta[name="hands"]')?.getAttribute("content") ?? "").href,
  { cpu: asked.has("cpu"), model: asked.get("model") === "0" ? 0 : 1, worker: asked.get("tracker") !== "page" },
  { seen, changed: showState },
);

// --- from the gateway

/** @param {import("./types.js").Welcome} news */
function welcome(news) {
  learnActions(news.actions);
  showInput();
  const found = news.game;
  const wanted = seedAsked() ?? found?.seed; // another maze than that of the address was begun before
  if (found && !found.finished && (found.race || found.seed === wanted)) show(found);
  else start(game && !game.finished ? game.seed : undefined); // in a race, to warm up until it starts
  const joined = raceAsked ?? race.race?.id ?? found?.race;
  if (joined && !isRaceId(joined)) refused({ reason: "no_race", detail: joined });
  else if (joined) link.send({ type: "race", id: joined, look: joined === raceAsked });
  if (menu.open || naming.open) paused(true);
  refreshScores();
}

/** @param {import("./types.js").Reply} news @param {import("./link.js").Sent | null} sent @param {number | null} waitedMs */
function reply(news, sent, waitedMs) {
  if (input === "keyboard") return;
  budget.replied(waitedMs);
  if (sent && waitedMs !== null) {
    if (sent.stages.camera !== undefined) budget.add("camera", sent.stages.camera);
    if (sent.stages.tracker !== undefined) budget.add("tracker", sent.stages.tracker);
    budget.add("page", sent.waited);
    budget.add("network", waitedMs - gatewayMs);
  }
  evidence.add(news);
  if (news.move && news.move !== "stop" && evidence.settledMs) budget.add("settle", evidence.settledMs);
  panel.showGesture(news.gesture, news.confidence, news.action);
  if (menu.open && news.move) menu.move(news.move);
  const finished = Boolean(game?.finished) && !menu.open;
  const holdMs = menu.open || naming.open ? CHOOSE_MS : finished ? NEXT_MAZE_MS : OPEN_MENU_MS;
  if (palm.add(news, holdMs)) palmHeld(finished);
}

/** @param {any} news */
function message(news) {
  if (news.type === "maze") show(news);
  else if (news.type === "at") walk(news);
  else if (news.type === "finished") finish(news);
  else if (news.type === "race") joinedRace(news);
  else if (news.type === "race_found") naming.enter(name.value, news);
  else if (news.type === "racer") racerMoved(news);
  else if (news.type === "timing") budget.add("pool", (gatewayMs = news.gateway_ms));
  else if (news.type === "refused") refused(news);
  else if (news.type === "actions") learnActions(news.actions);
}

/** @param {Record<string, Direction>} actions */
function learnActions(actions) {
  evidence = new Evidence(actions);
  panel.fillLegend(actions, poses, press);
}

/** @param {import("./types.js").Refused} news */
function refused(news) {
  console.warn(`refused: ${news.reason}: ${news.detail}`);
  if (news.reason !== "no_race" && news.reason !== "race_full") return;
  forgetRace();
  refusal = news.reason;
}

// --- the game

/** Begin another maze, alone. @param {number} [seed] */
function begin(seed = anySeed()) {
  forgetRace();
  setAddress("seed", null);
  refusal = null;
  start(seed);
}

/** @param {number} [seed] */
function start(seed = seedAsked() ?? anySeed()) {
  link.send({ type: "start", size, seed });
}

/** The same maze for all players of a day. */
async function beginDaily() {
  const found = await fetch(address("daily")).catch(() => null);
  if (found?.ok) begin((await found.json()).seed);
}

/** @param {Game} news */
function show(news) {
  game = news;
  gameAt = performance.now();
  opensAt = news.opens_in_ms ? gameAt + news.opens_in_ms : 0;
  steps = [];
  showDone(false);
  setSize(news.size);
  view.show(news, news.cell);
  panel.showWhere(game);
  refreshScores();
  if (!news.moves) scrollTo({ top: 0 }); // the button that began it may be far below
}

/** @param {import("./types.js").Where} news */
function walk(news) {
  if (!game) return;
  const came = performance.now();
  const bumped = news.cell === game.cell && news.move && news.move !== "stop" ? news.move : null;
  game = { ...game, ...news };
  gameAt = came;
  refusal = null;
  if (bumped) view.bump(bumped);
  else {
    view.walk(news.cell);
    steps.push([news.time_ms, news.cell]);
  }
  if (!news.finished) sound.play(bumped ? "wall" : "step");
  panel.showWhere(game);
  afterPaint(() => budget.add("paint", performance.now() - came));
}

/** @param {import("./types.js").Finished} news */
function finish(news) {
  const best = noteWalk(news.size, news.seed, news.input, news.time_ms, steps);
  panel.showNumbers({ "done-text": resultOf(news, best) });
  showDone(true);
  element("next", HTMLElement).focus({ preventScroll: true });
  view.celebrate();
  sound.play("done");
  simulated.take("rest");
  refreshScores();
}

/** The result of a walk, with the way on. @param {boolean} shown */
function showDone(shown) {
  element("done", HTMLElement).hidden = !shown;
  element("next", HTMLElement).hidden = race.running;
  panel.showNumbers({ next: race.race?.over ? "Race again" : "Next maze" });
}

/** @param {Size} chosen */
function setSize(chosen) {
  size = chosen;
  mark("size", chosen);
}

const refreshScores = () => void showScores(size, game?.seed, name.value || "player");

// --- races

/** @param {import("./types.js").Race} news */
function joinedRace(news) {
  raceAsked = null;
  race.show(news);
  setAddress("race", news.id);
  refusal = null;
}

/** @param {import("./types.js").Racer} news */
function racerMoved(news) {
  race.move(news);
  showDone(Boolean(game?.finished));
}

function forgetRace() {
  raceAsked = null;
  race.hide();
  setAddress("race", null);
}

// --- hands-free

/** Handle a held palm. @param {boolean} finished */
function palmHeld(finished) {
  sound.play("menu");
  if (naming.open) naming.take();
  else if (menu.open) menu.take();
  else if (finished) next();
  else openMenu();
}

function openMenu() {
  menu.show(choicesOf(size, input, { begin: () => begin(), daily: beginDaily, size: beginSize, choose }));
}

/** @param {Size} chosen */
function beginSize(chosen) {
  setSize(chosen);
  begin();
}

/** While the menu or a question is open, moves do not walk. @param {boolean} on */
function paused(on) {
  link.send({ type: "pause", on });
}

// --- from the player

/** @param {string} chosen */
function renamed(chosen) {
  setName(chosen);
  link.send({ type: "name", name: chosen });
  refreshScores();
}

/** A frame of either camera. @param {Sight} sight */
function seen(sight) {
  if (sight.points) handSeenAt = performance.now();
  panel.showHand(sight.points, input === "camera", sight.aspect);
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

connectKeys({
  arrow: (way) => (menu.open ? menu.move(way) : link.send({ type: "key", move: way })),
  escape: () => menu.close(),
  pose: (way, gesture, held) => input === "simulated" && press(way, gesture, held),
  palm: (held) => input === "simulated" && press("up", "palm", held),
});

function next() {
  if (race.running) return; // the others still walk
  if (race.race?.over) race.go();
  else begin();
}

connectButtons({
  begin: () => begin(),
  daily: beginDaily,
  race: () => naming.enter(name.value),
  next,
  size: beginSize,
  input: choose,
  renamed,
  folded: () => view.fit(),
  board: refreshScores,
}, sound);

// --- inputs

/** @param {Input} chosen */
function choose(chosen) {
  input = chosen;
  mark("input", chosen);
  budget.clear();
  handSeenAt = performance.now();
  if (chosen === "simulated" && !document.hidden) simulated.start();
  else simulated.stop();
  if (chosen === "camera") camera.start();
  else if (camera.state !== "off") camera.stop();
  panel.showHand(null, false);
  panel.showGesture(null, 0, null);
  showInput();
  showState();
}

function showInput() {
  panel.showInput(input);
  if (input !== "keyboard") link.send({ type: "input", input });
}

document.addEventListener("visibilitychange", () => {
  handSeenAt = performance.now();
  if (document.hidden) simulated.stop();
  else {
    if (input === "simulated") simulated.start();
    link.hurry();
  }
  showState();
});

// --- what the page shows

function showState() {
  if (link.silent || link.state !== "open") panel.showUnread();
  panel.showState(standing({
    link,
    camera,
    input,
    handMissing: performance.now() - handSeenAt > NO_HAND_MS,
    game,
    race,
    refusal,
    opensInS: secondsToOpen() || null,
    menu: menu.open,
    choose,
  }));
}

/** @returns {number} whole seconds until the race starts, 0 if none is waited for */
function secondsToOpen() {
  return Math.max(Math.ceil((opensAt - performance.now()) / 1000), 0);
}

function showNumbers() {
  const now = performance.now();
  const timeMs = (game?.time_ms ?? 0) + (game?.running ? Math.max(now - Math.max(gameAt, opensAt), 0) : 0);
  const best = bestTime(size);
  panel.showNumbers({
    moves: String(game?.moves ?? 0),
    shortest: game ? String(game.shortest) : "–",
    time: seconds(timeMs),
    best: best === null ? "–" : seconds(best),
  });
  if (panel.showCountdown(secondsToOpen())) sound.play(secondsToOpen() ? "step" : "go");
  view.showGhost(ghostOf(game, timeMs));
  panel.showSpeed(budget, camera);
  showState();
}

setInterval(showNumbers, NUMBERS_MS);
setInterval(() => panel.showRing(palm.share ? { share: palm.share, settled: true } : evidence.progress), 50);
addEventListener("resize", () => view.fit());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => panel.redrawLegend(poses));
setSize(/** @type {Size} */ (["small", "medium", "large"].find((one) => one === asked.get("size")) ?? DEFAULT_SIZE));
link.open();
choose(/** @type {Input} */ (["camera", "keyboard"].find((one) => one === asked.get("input")) ?? "simulated"));
if (isSecureContext) navigator.serviceWorker?.register(address("sw.js")).catch(() => {});
