/** The page /watch: the mazes of `maze demo`, as small multiples. */

import { colour, drawStar, drawWalls } from "./maze-view.js";
import { ARROWS, element } from "./types.js";

/**
 * @typedef {object} Player
 * @property {number} width
 * @property {number} height
 * @property {string} ways
 * @property {number} cell
 * @property {number[]} trail
 * @property {number} solved
 * @property {import("./types.js").Direction | null} wants
 *
 * @typedef {object} Picture
 * @property {number} elapsed_s
 * @property {number} count players in all
 * @property {Player[]} players those that are shown
 * @property {Record<string, string>} numbers
 * @property {{ pid: number, partitions: number }[]} workers
 * @property {string[]} events newest last
 */

/** Without a picture for so long, the demo has ended. */
const ENDED_MS = 4000;
const TILE = 300;

let heardAt = performance.now();
const events = new EventSource("/watch/stream");
events.onmessage = (/** @type {MessageEvent<string>} */ event) => {
  heardAt = performance.now();
  show(JSON.parse(event.data));
};
setInterval(() => {
  if (performance.now() - heardAt > ENDED_MS) say("waiting", "No demo is running: start one with `make demo`.");
}, 500);

/** @param {string} state @param {string} text */
function say(state, text) {
  element("state", HTMLElement).dataset.state = state;
  element("state-text", HTMLElement).textContent = text;
}

/** @param {Picture} picture */
function show(picture) {
  const shown = picture.players.length < picture.count ? `, ${picture.players.length} of them shown` : "";
  say("playing", `${picture.count} players${shown}, ${picture.elapsed_s.toFixed(0)} s`);
  fill("numbers", Object.entries(picture.numbers).map(([what, value]) => {
    const pair = document.createElement("div");
    pair.append(made("dt", what), made("dd", value));
    return pair;
  }));
  fill("workers", picture.workers.map((one) => made("li", `worker ${one.pid}: ${one.partitions} partitions`)));
  fill("events", picture.events.map((sentence) => made("li", sentence)));
  const tiles = element("tiles", HTMLElement);
  while (tiles.children.length > picture.players.length) tiles.lastElementChild?.remove();
  picture.players.forEach((player, at) => drawTile(tiles.children[at] ?? addTile(tiles), player, at + 1));
}

/** @param {string} id @param {HTMLElement[]} parts */
function fill(id, parts) {
  element(id, HTMLElement).replaceChildren(...parts);
}

/** @param {string} kind @param {string} text */
function made(kind, text) {
  const part = document.createElement(kind);
  part.textContent = text;
  return part;
}

/** @param {HTMLElement} tiles */
function addTile(tiles) {
  const tile = document.createElement("figure");
  tile.className = "tile";
  const words = document.createElement("figcaption");
  words.append(document.createElement("span"), document.createElement("span"));
  tile.append(document.createElement("canvas"), words);
  tiles.append(tile);
  return tile;
}

/** @param {Element} tile @param {Player} player @param {number} number */
function drawTile(tile, player, number) {
  const canvas = tile.querySelector("canvas");
  const brush = canvas?.getContext("2d");
  if (!canvas || !brush) return;
  const edge = 5;
  const unit = (TILE - edge) / player.width;
  canvas.width = TILE;
  canvas.height = Math.round(unit * player.height + edge);
  brush.translate(edge / 2, edge / 2);
  const middle = (/** @type {number} */ cell) => [((cell % player.width) + 0.5) * unit, (Math.floor(cell / player.width) + 0.5) * unit];
  brush.fillStyle = colour("trail");
  for (const cell of player.trail) {
    const [x, y] = middle(cell);
    brush.fillRect(x - unit / 2, y - unit / 2, unit, unit);
  }
  brush.fillStyle = colour("exit");
  const [exitX, exitY] = middle(player.width * player.height - 1);
  drawStar(brush, exitX, exitY, unit * 0.32);
  brush.strokeStyle = colour("wall");
  brush.lineWidth = edge;
  brush.lineCap = "round";
  drawWalls(brush, player, unit);
  brush.fillStyle = colour("token");
  const [x, y] = middle(player.cell);
  brush.beginPath();
  brush.arc(x, y, unit * 0.28, 0, 2 * Math.PI);
  brush.fill();
  const [left, right] = tile.querySelectorAll("span");
  left.textContent = `${number} ${player.wants ? ARROWS[player.wants] : ""}`;
  right.textContent = `${player.solved} solved`;
}
