/** The state of the game in one sentence, for each thing that can go wrong, with a way back. */

import { endOf, standingOf } from "./race.js";

/** @typedef {{ state: string, text: string, action?: { name: string, run: () => void } }} Standing */

/**
 * @typedef {object} Facts
 * @property {import("./link.js").Link} link
 * @property {import("./camera.js").Camera} camera
 * @property {import("./types.js").Input} input
 * @property {boolean} handMissing no hand was seen for a while
 * @property {import("./types.js").Game | null} game
 * @property {import("./race.js").RaceView} race
 * @property {"no_race" | "race_full" | null} refusal why the race of a link was not joined
 * @property {number | null} opensInS until the race starts
 * @property {boolean} menu
 * @property {(input: import("./types.js").Input) => void} choose
 */

/** @type {Partial<Record<import("./link.js").Link["state"], [string, string]>>} */
const LINK = {
  connecting: ["connecting", "Connecting to the game …"],
  reconnecting: ["reconnecting", "The connection was lost. Connecting again; your maze is kept …"],
  replaced: ["refused", "The game continues in another window."],
  full: ["refused", "The game is full. Trying again in a few seconds …"],
};

/** @type {Partial<Record<import("./camera.js").CameraState, [string, string]>>} state and sentence */
export const CAMERA = {
  asking: ["camera", "Allow the camera, please."],
  loading: ["camera", "Loading the hand tracker: a few seconds, the first time …"],
  denied: ["no-camera", "The camera is not allowed. Allow it in the address bar, or play with the simulated hand."],
  missing: ["no-camera", "No camera was found. Plug one in, or play with the simulated hand."],
  busy: ["camera-busy", "The camera is in use by another program. Close that program and try again."],
  unplugged: ["camera-unplugged", "The camera was unplugged. The game continues when it is back."],
  insecure: ["camera-insecure", "The camera works only over https or on localhost. Play with the simulated hand here."],
  tap: ["camera-tap", "The browser waits for your tap before it shows the camera."],
  stalled: ["camera-stalled", "The camera sends no pictures: is it covered, or switched off?"],
  failed: ["tracker-failed", "The hand tracker could not be loaded. Try again, or play with the simulated hand."],
  broken: ["tracker-broken", "The hand tracker does not work in this browser. Play with the simulated hand."],
};
const REFUSALS = {
  no_race: "There is no such race (any more). This maze is for you alone.",
  race_full: "The race is full. This maze is for you alone.",
};

/** States of the camera in which trying again may help. */
const AGAIN = new Set(["denied", "missing", "busy", "unplugged", "stalled", "failed", "broken"]);

/** @param {Facts} facts @returns {Standing} */
export function standing(facts) {
  if (document.hidden) return { state: "paused", text: "Paused while this tab is hidden." };
  return ofLink(facts) ?? (facts.input === "camera" ? ofCamera(facts) : null) ?? ofGame(facts);
}

/** @param {Facts} facts @returns {Standing | null} */
function ofLink({ link }) {
  if (!navigator.onLine && link.state !== "open") {
    return { state: "offline", text: "No network. The game continues when it is back; your maze is kept." };
  }
  const words = LINK[link.state];
  if (words) {
    const [state, text] = words;
    if (link.state === "replaced") return { state, text, action: { name: "Continue here", run: () => link.takeBack() } };
    if (link.refusal) {
      const why = `The game is not ready: ${link.refusal}. Trying again …`;
      return { state, text: why, action: { name: "Try now", run: () => link.hurry() } };
    }
    if (link.state === "connecting") return { state, text };
    return { state, text, action: { name: "Try now", run: () => link.hurry() } };
  }
  if (!link.silent) return null;
  const text = "No worker reads your hand. The game continues when one is back; arrow keys still work.";
  return { state: "no-worker", text };
}

/**
 * @param {import("./camera.js").Camera} camera
 * @param {() => void} simulate plays with the simulated hand
 * @returns {Standing["action"]} the way back from a state of the camera, if there is one
 */
export function cameraAction(camera, simulate) {
  if (camera.state === "tap") return { name: "Show the camera", run: () => camera.retry() };
  if (camera.state === "insecure") return { name: "Simulated hand", run: simulate };
  return AGAIN.has(camera.state) ? { name: "Try again", run: () => camera.retry() } : undefined;
}

/** @param {Facts} facts @returns {Standing | null} */
function ofCamera({ camera, handMissing, choose }) {
  const words = CAMERA[camera.state];
  if (words) {
    const [state, text] = words;
    return { state, text, action: cameraAction(camera, () => choose("simulated")) };
  }
  if (camera.dark) return { state: "dark", text: "Too dark to see a hand: turn on a light." };
  if (camera.seesOthers) return { state: "two-hands", text: "Two hands in the picture: the first one is followed." };
  if (handMissing) return { state: "no-hand", text: "No hand in the picture: hold one up, fingers in view." };
  return null;
}

/** @param {Facts} facts @returns {Standing} */
function ofGame({ game, race, refusal, opensInS, menu, input }) {
  if (menu) return { state: "menu", text: "Up and down choose, a held open palm selects, left closes." };
  if (opensInS !== null) return { state: "countdown", text: `The race starts in ${opensInS} …` };
  if (race.gathered === 1) {
    const text = "Your race: send its link to the other players.";
    return { state: "race", text, action: { name: "Show the link", run: () => race.invite() } };
  }
  if (race.gathered) {
    const text = `A race of ${race.gathered} players. Start it when all are here; practise until then.`;
    return { state: "race", text, action: { name: "Start", run: race.go } };
  }
  if (race.race && race.running && game?.race) return { state: "playing", text: standingOf(race.race, game) };
  if (game?.finished) {
    const ended = race.race?.over && game.race ? endOf(race.race) : "You made it!";
    return { state: "playing", text: `${ended} ${wayOn(input, race.race?.over)}` };
  }
  if (refusal) return { state: "no-race", text: REFUSALS[refusal] };
  return { state: "playing", text: "Find the way to the star." };
}

/** What begins the next maze. @param {import("./types.js").Input} input @param {boolean} [raced] */
function wayOn(input, raced) {
  const what = raced ? "to race again" : "for the next maze";
  if (input === "camera") return `Hold an open palm ${what}.`;
  return matchMedia("(pointer: coarse)").matches ? `Press the button ${what}.` : `Press Enter ${what}.`;
}
