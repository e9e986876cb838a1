/** The page of `maze teach`: record, look, train, try, ship. */

import { Camera } from "./camera.js";
import { drawBones } from "./hand-view.js";
import { SimulatedHand } from "./simulated.js";
import { ask } from "./teach-api.js";
import { takeFile } from "./teach-files.js";
import { part, percent, showTakes } from "./teach-look.js";
import { Recorder, showVariety } from "./teach-recorder.js";
import { Trial } from "./teach-trial.js";
import { address, amount, element } from "./types.js";
import { CAMERA, cameraAction } from "./words.js";

/** @typedef {import("./types.js").Sight} Sight */
/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./teach-api.js").State} State */
/** @typedef {import("./teach-api.js").Training} Training */

const POLL_MS = 150;
const CONSENT_KEY = "maze.teach.consent";
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,31}$/;

const asked = new URLSearchParams(location.search);
/** `?seconds=5` makes longer takes. */
const TAKE_S = Number(asked.get("seconds")) || 3;
const IDLE_S = 20;
const poses = await (await fetch(address("game/hands.json"))).json();
const cue = element("cue", HTMLElement);
const prompt = (/** @type {string} */ text) => (element("prompt", HTMLElement).textContent = cue.textContent = text);
const recorder = new Recorder(prompt);
const trial = new Trial((text) => (element("try-text", HTMLElement).textContent = text), showSeen, () => void refresh(), poses, asked.get("seed"));
const label = element("label", HTMLInputElement);
const consent = element("consent", HTMLInputElement);
const base = address(document.querySelector('meta[name="hands"]')?.getAttribute("content") ?? "").href;
const options = { cpu: asked.has("cpu"), model: asked.get("model") === "0" ? 0 : 1, worker: asked.get("tracker") !== "page" };
const camera = new Camera(element("video", HTMLVideoElement), base, options, { seen, changed: showState });
const simulated = new SimulatedHand(poses, (sight) => seen(recorder.busy ? moved(sight) : sight));
const brush = element("hand", HTMLCanvasElement).getContext("2d");
let input = "";
let handSeenAt = performance.now();
/** @type {State} */
let state = await ask("state");

// --- the camera

/** @param {Sight} sight */
function seen(sight) {
  if (sight.points) handSeenAt = performance.now();
  recorder.add(sight);
  trial.add(sight);
  if (!brush) return;
  const { canvas } = brush;
  canvas.width = 640;
  canvas.height = Math.round(640 / sight.aspect);
  if (sight.points) drawBones(brush, sight.points, canvas.width, canvas.height);
}

/** A simulated hand turns and comes nearer while it is recorded, as prompts ask people to. @param {Sight} sight @returns {Sight} */
function moved(sight) {
  const time = performance.now() / 1000;
  const [turn, size] = [0.35 * Math.sin(2.1 * time), 0.8 + 0.3 * Math.sin(1.3 * time)];
  const [cos, sin] = [Math.cos(turn) * size, Math.sin(turn) * size];
  const points = sight.points?.map(([x, y, z]) => {
    const [dx, dy] = [(x - 0.5) * sight.aspect, y - 0.5];
    return /** @type {Point} */ ([0.5 + (cos * dx - sin * dy) / sight.aspect, 0.5 + sin * dx + cos * dy, z * size]);
  });
  return { ...sight, points: points ?? null };
}

/** @param {string | null} gesture @param {number} confidence */
function showSeen(gesture, confidence) {
  const box = element("seen", HTMLElement);
  box.hidden = false;
  box.textContent = gesture === null || gesture === state.no_gesture ? "no gesture" : `${gesture} ${percent(confidence)}`;
}

/** @param {string} chosen */
function choose(chosen) {
  input = chosen;
  press("input", chosen);
  if (chosen === "camera") {
    simulated.stop();
    camera.start();
  } else {
    camera.stop();
    simulated.start();
  }
  element("pose-box", HTMLElement).hidden = chosen === "camera";
  showState();
}

function showState() {
  const words = input === "camera" ? CAMERA[camera.state] : null;
  const missing = input === "camera" && !words && performance.now() - handSeenAt > 800;
  const action = words ? cameraAction(camera, () => choose("simulated")) : undefined;
  const fallback = missing ? ["no-hand", "No hand in the picture: hold one up, fingers in view."] : ["playing", hint()];
  const [name, text] = words ?? (camera.dark && input === "camera" ? ["dark", "Too dark to see a hand: turn on a light."] : fallback);
  element("state", HTMLElement).dataset.state = name;
  element("state-text", HTMLElement).textContent = text;
  const act = element("state-act", HTMLButtonElement);
  act.hidden = !action;
  act.textContent = action?.name ?? "";
  act.onclick = action?.run ?? null;
}

/** @returns {string} what to do next */
function hint() {
  const count = state.takes.length;
  if (!count) return "Name a gesture and record it.";
  if (state.training.running) return "Training …";
  if (!state.training.result) return `${amount(count, "take")}. Record five of each gesture, then train.`;
  return state.outdated ? "The takes have changed: train again." : "Trained. Try it, or ship it.";
}

// --- record

/** @param {number} seconds @param {string} name @param {string} [words] */
async function record(seconds, name, words) {
  if (!NAME.test(name)) return (prompt("Name the gesture first: letters, digits, - and _."), label.focus());
  if (!consent.checked) return (prompt("Please tick below that you agree to keep the take."), consent.focus());
  if (recorder.busy) return;
  showVariety({});
  busy(true);
  try {
    const frames = await recorder.record(seconds, words);
    if (!frames) return;
    await ask("takes", "POST", { label: name, source: input, consent: true, frames });
    await refresh();
    const takes = state.takes.filter((take) => take.label === name);
    const last = takes.at(-1);
    if (last && !words) showVariety(last.variety);
    const more = words ? "Now record your gestures." : takes.length < 5 ? `Next take: ${last?.variety.prompt}` : "That is enough to train.";
    prompt(`Take ${takes.length} of ${name} is kept. ${more}`);
  } catch (fault) {
    prompt(`The take was not kept: ${/** @type {Error} */ (fault).message}`);
  } finally {
    busy(false);
  }
}

/** @param {boolean} on */
function busy(on) {
  for (const id of ["record", "idle"]) element(id, HTMLButtonElement).disabled = on;
  element("cancel", HTMLElement).hidden = !on;
  cue.hidden = !on;
  if (on) cue.scrollIntoView({ block: "nearest" });
}

/** @param {FileList | null | undefined} files */
async function takeFiles(files) {
  if (!files?.length) return;
  const name = label.value.trim();
  if (!NAME.test(name)) return (prompt("Name the gesture of the files first."), label.focus());
  if (!consent.checked) return (prompt("Please tick above that you agree to keep the takes."), consent.focus());
  const words = [];
  for (const file of files) {
    try {
      words.push(await takeFile(file, name, element("size", HTMLInputElement).value.trim(), base, options, prompt));
    } catch (fault) {
      const reason = /** @type {Error} */ (fault).message;
      words.push(`${reason.startsWith(file.name) ? reason : `${file.name}: ${reason}`}.`);
    }
  }
  await refresh();
  prompt(words.join(" "));
}

// --- look

const changes = {
  /** @param {import("./teach-api.js").Take} take */
  remove: (take) => change(ask(`takes/${take.id}`, "DELETE")),
  /** @param {import("./teach-api.js").Take} take @param {string} name */
  relabel: (take, name) => change(ask(`takes/${take.id}`, "PATCH", { label: name })),
};

/** @param {Promise<unknown>} work */
async function change(work) {
  await work.catch((fault) => alert(fault.message));
  await refresh();
}

async function refresh() {
  state = await ask("state");
  element("labels", HTMLDataListElement).replaceChildren(...state.gestures.map((name) => new Option(name)));
  element("known", HTMLElement).textContent = `${state.known.join(", ")}. Takes of one of them teach it your way to show it.`;
  element("consent-text", HTMLElement).textContent = state.consent;
  element("folder", HTMLElement).textContent = state.folder;
  element("base", HTMLElement).textContent = state.base;
  element("count", HTMLElement).textContent = state.takes.length ? ` (${state.takes.length})` : "";
  showTakes(state, changes);
  showTraining(state.training);
  showState();
}

// --- train

async function train() {
  try {
    showTraining(await ask("train", "POST"));
    for (;;) {
      const now = /** @type {Training} */ (await ask("training"));
      showTraining(now);
      if (!now.running) break;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    await refresh();
  } catch (fault) {
    element("result", HTMLElement).replaceChildren(part("p", /** @type {Error} */ (fault).message));
  }
}

/** @param {Training} training */
function showTraining(training) {
  const bar = element("progress", HTMLProgressElement);
  bar.hidden = !training.running;
  bar.value = training.progress;
  element("train", HTMLButtonElement).disabled = training.running || !state.takes.length;
  const box = element("result", HTMLElement);
  if (training.running) return box.replaceChildren(part("p", `${percent(training.progress)} …`));
  if (training.fault) return box.replaceChildren(part("p", training.fault));
  if (!training.result) return box.replaceChildren();
  box.replaceChildren(...resultParts(training.result));
  trial.offer(training.result, state.no_gesture);
  showShip(training.result);
}

/** @param {import("./teach-api.js").Result} result */
function resultParts(result) {
  const table = part("table");
  const head = table.createTHead().insertRow();
  for (const text of ["Gesture", "Right in other takes", "Confident enough to move"]) {
    const cell = part("th", text);
    cell.scope = "col";
    head.append(cell);
  }
  const rows = table.createTBody();
  for (const one of result.own) {
    const row = rows.insertRow();
    row.append(part("td", one.name), part("td", shown(one.accuracy)), part("td", shown(one.acting)));
  }
  const list = part("ul");
  list.append(...result.confusions.map((text) => part("li", text)));
  const kept = part("p", result.kept.sentence);
  kept.classList.toggle("warning", !result.kept.enough);
  const judged = result.own.some((one) => one.accuracy !== null);
  const words = result.confusions.length ? [part("h3", "What is confused"), list] : judged ? [part("p", "No gesture is taken for another in 2 % of its frames or more.")] : [];
  const close = result.close.map((text) => part("p", `${text}.`));
  for (const one of close) one.classList.add("warning");
  const doubtful = Object.values(result.takes).filter((one) => one.doubtful).length;
  const button = part("button", doubtful === 1 ? "Look at the doubtful take" : `Look at the ${doubtful} doubtful takes`);
  button.onclick = () => step("look");
  return [table, ...words, ...close, ...(doubtful ? [button] : []), kept];
}

/** @param {number | null} share */
const shown = (share) => (share === null ? "record a second take" : percent(share));

// --- try and ship

async function play() {
  const button = element("play", HTMLButtonElement);
  button.disabled = true;
  await trial.play().catch((fault) => (element("try-text", HTMLElement).textContent = fault.message));
  button.disabled = false;
}

/** @param {import("./teach-api.js").Result} result */
function showShip(result) {
  element("ship-text", HTMLElement).textContent = `${result.model}: ${amount(result.gestures.length, "gesture")}, threshold ${result.threshold}.`;
  element("ship-box", HTMLElement).hidden = false;
  const moves = Object.entries(result.actions).map(([name, way]) => `${name} ${way}`);
  element("moves", HTMLElement).textContent = moves.join(", ");
  const folder = `${state.folder}/bundles/${result.model}`;
  element("bundle", HTMLElement).textContent = folder;
  const accept = element("accept", HTMLInputElement);
  element("accept-box", HTMLElement).hidden = result.kept.enough;
  if (accept.dataset.model !== result.model) accept.checked = false;
  accept.dataset.model = result.model;
  element("accept-text", HTMLElement).textContent = `${result.kept.sentence} I accept this.`;
  accept.onchange = () => showShip(result);
  const refused = !result.kept.enough && !accept.checked;
  const limit = result.kept.enough ? "" : " --max-fall 1";
  element("command", HTMLElement).textContent = refused ? "accept the loss first" : `maze promote ${folder} --redis URL${limit}`;
  for (const id of ["promote", "challenge"]) {
    element(id, HTMLElement).hidden = !state.pool;
    element(id, HTMLButtonElement).disabled = refused;
  }
}

/** @param {boolean} challenger */
async function ship(challenger) {
  const box = element("shipped", HTMLElement);
  box.textContent = "Checking the model …";
  box.textContent = await ask("ship", "POST", { challenger, accept_fall: element("accept", HTMLInputElement).checked }).then((news) => news.sentence, (fault) => fault.message);
}

// --- the page

/** @param {string} group @param {string} chosen */
function press(group, chosen) {
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(`button[data-${group}]`))) {
    one.ariaPressed = String(one.dataset[group] === chosen);
  }
}

/** @param {string} name */
function step(name) {
  press("step", name);
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-panel]"))) {
    one.hidden = one.dataset.panel !== name;
  }
  trial.fit();
}

for (const one of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("button[data-step]"))) {
  one.onclick = () => step(one.dataset.step ?? "record");
}
for (const one of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("button[data-input]"))) {
  one.onclick = () => choose(one.dataset.input ?? "camera");
}
element("record", HTMLElement).onclick = () => record(TAKE_S, label.value.trim());
element("record", HTMLElement).textContent = `Record ${amount(TAKE_S, "second")}`;
element("idle", HTMLElement).onclick = () => record(IDLE_S, state.no_gesture, "Move as you like: wave, point, scratch your head. No gesture, please.");
element("cancel", HTMLElement).onclick = () => recorder.cancel();
element("train", HTMLElement).onclick = train;
element("play", HTMLElement).onclick = play;
element("again", HTMLElement).onclick = () => trial.again();
element("promote", HTMLElement).onclick = () => ship(false);
element("challenge", HTMLElement).onclick = () => ship(true);
const files = element("files", HTMLInputElement);
files.onchange = () => void takeFiles(files.files).then(() => (files.value = ""));
const drop = element("drop", HTMLElement);
drop.addEventListener("dragover", (event) => (event.preventDefault(), drop.classList.add("over")));
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  takeFiles(event.dataTransfer?.files);
});
consent.checked = localStorage.getItem(CONSENT_KEY) === "yes";
consent.onchange = () => localStorage.setItem(CONSENT_KEY, consent.checked ? "yes" : "");
const pose = element("pose", HTMLSelectElement);
pose.append(...Object.keys(poses).map((name) => new Option(name)));
pose.onchange = () => simulated.take(pose.value);
pose.value = "rest";
addEventListener("resize", () => trial.fit());
setInterval(showState, 500);
await refresh();
choose(asked.get("input") === "simulated" ? "simulated" : "camera");
