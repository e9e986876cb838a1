/** The player's own best walks, kept in this browser: best times, and the ghost of the best walk of a maze. */

import { element } from "./types.js";

/** @typedef {import("./types.js").Input} Input */
/** @typedef {import("./types.js").Size} Size */
/** @typedef {[number, number][]} Steps each step: ms since the first, and the cell */
/** @typedef {{ time_ms: number, steps: Steps }} Walk */

const KEY = "maze.best";
/** Mazes whose best walk is kept; the oldest go first. */
const MOST_MAZES = 30;
const MOST_STEPS = 2000;

/** @typedef {{ times: Record<string, number>, walks: Record<string, Walk> }} Kept */

/** The text that was parsed last, and its value: the page reads it ten times a second. @type {{ text: string | null, kept: Kept }} */
let parsed = { text: null, kept: { times: {}, walks: {} } };

/** @returns {Kept} */
function read() {
  const text = stored();
  if (text !== parsed.text) parsed = { text, kept: parse(text) };
  return parsed.kept;
}

/** @returns {string | null} null if nothing was kept yet, or it cannot be read */
function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** @param {string | null} text @returns {Kept} */
function parse(text) {
  try {
    const kept = JSON.parse(text ?? "");
    if (kept?.times && kept?.walks) return kept;
  } catch {
    // not written by this page
  }
  return { times: {}, walks: {} };
}

/** @param {Size} size @returns {number | null} ms of the best walk, by any input */
export function bestTime(size) {
  return bestOf(read(), size);
}

/** @param {Kept} kept @param {Size} size */
function bestOf({ times }, size) {
  const found = Object.keys(times).filter((key) => key.startsWith(`${size} `)).map((key) => times[key]);
  return found.length ? Math.min(...found) : null;
}

/**
 * @param {import("./types.js").Game | null} game
 * @param {number} timeMs since the first step
 * @returns {number | null} the cell where the ghost of the best walk through this maze is; null without one
 */
export function ghostOf(game, timeMs) {
  if (!game?.running || !element("ghost", HTMLInputElement).checked) return null;
  const best = read().walks[`${game.size} ${game.seed}`];
  return best ? ghostAt(best, timeMs) : null;
}

/**
 * Record a finished walk.
 *
 * @param {Size} size @param {number} seed @param {Input} input @param {number} timeMs @param {Steps} steps
 * @returns {"best" | "best by input" | null} whether it is the best of its size, or of its size and input
 */
export function noteWalk(size, seed, input, timeMs, steps) {
  const kept = read();
  const [time, maze] = [`${size} ${input}`, `${size} ${seed}`];
  const best = timeMs < (bestOf(kept, size) ?? Infinity);
  const better = timeMs < (kept.times[time] ?? Infinity);
  if (better) kept.times[time] = timeMs;
  if (steps.length <= MOST_STEPS && timeMs < (kept.walks[maze]?.time_ms ?? Infinity)) {
    delete kept.walks[maze];
    kept.walks[maze] = { time_ms: timeMs, steps };
  }
  for (const old of Object.keys(kept.walks).slice(0, -MOST_MAZES)) delete kept.walks[old];
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // no storage space: the game continues without it
  }
  return best ? "best" : better ? "best by input" : null;
}

/** @param {Walk} walk @param {number} ms since the first step @returns {number} the cell where the ghost is */
function ghostAt(walk, ms) {
  let cell = 0;
  for (const [at, reached] of walk.steps) {
    if (at > ms) break;
    cell = reached;
  }
  return cell;
}
