/** The scoreboard of the page: by size, by input, or of the maze that is being walked. */

import { address, amount, element, seconds } from "./types.js";

/** @typedef {import("./types.js").Size} Size */
/** @typedef {{ name: string, time_ms: number, moves: number, input: string, seed: number, shortest: number | null }} Place */

/** @param {number} moves @param {number | null} shortest @returns {string} */
export function movesOver(moves, shortest) {
  if (shortest === null) return amount(moves, "move");
  const over = moves === shortest ? "the shortest way" : `${moves - shortest} over the shortest`;
  return `${amount(moves, "move")}, ${over}`;
}

/** @type {Record<import("./types.js").Input, string>} */
const BY = { camera: "by camera", simulated: "by simulated hand", keyboard: "by keyboard" };

/**
 * A finished walk in words.
 *
 * @param {import("./types.js").Finished} walk
 * @param {"best" | "best by input" | null} best as `noteWalk` returns it
 * @returns {string}
 */
export function resultOf({ size, moves, shortest, time_ms, input, rank }, best) {
  const words = [`${movesOver(moves, shortest)}, in ${seconds(time_ms)}.`];
  if (best) words.push(`Your best${best === "best" ? "" : ` ${BY[input]}`} so far.`);
  if (rank) words.push(`Place ${rank} among all ${size} mazes.`);
  return words.join(" ");
}

/**
 * @param {Size} size
 * @param {number | undefined} seed of the maze that is being walked
 * @param {string} mine the player's name
 */
export async function showScores(size, seed, mine) {
  const board = element("scores-by", HTMLSelectElement).value;
  element("scores-title", HTMLElement).textContent = board === "maze" ? "Fastest in this maze" : `Fastest in any ${size} maze`;
  const from = address(`scores/${size}`);
  if (board === "maze" && seed !== undefined) from.searchParams.set("seed", String(seed));
  else if (board !== "all") from.searchParams.set("input", board);
  const response = await fetch(from).catch(() => null);
  if (!response?.ok) return;
  /** @type {Place[]} */
  const places = await response.json();
  const list = element("scores", HTMLElement);
  list.replaceChildren(...(places.length ? places.map((place) => line(place, mine)) : [nothing()]));
}

function nothing() {
  const item = document.createElement("li");
  item.className = "empty";
  item.textContent = "No results yet. Be the first.";
  return item;
}

/** @param {Place} place @param {string} mine */
function line(place, mine) {
  const item = document.createElement("li");
  item.classList.toggle("mine", place.name === mine);
  const [who, how, time] = ["span", "small", "span"].map((kind) => document.createElement(kind));
  who.className = "who";
  who.textContent = place.name;
  const over = place.shortest === null ? "" : `+${place.moves - place.shortest}`;
  how.textContent = `${amount(place.moves, "move")}${over && ` (${over})`}, ${place.input}`;
  how.title = movesOver(place.moves, place.shortest);
  time.textContent = seconds(place.time_ms);
  item.append(who, how, time);
  return item;
}
