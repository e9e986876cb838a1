/** The page /watch: the mazes of this gateway's players and of `maze demo`, as small multiples. */

import { colour, drawStar, drawWalls } from "./maze-view.js";
import { ARROWS, address, amount, element } from "./types.js";

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
 * @typedef {{ width: number, height: number, ways: string, cell: number, trail: number[], words: string[] }} Tile
 *
 * @typedef {object} Here
 * @property {string} name
 * @property {number} width
 * @property {number} height
 * @property {string} ways
 * @property {number} cell
 * @property {number} moves
 * @property {boolean} finished
 * @property {boolean} race
 *
 * @typedef {object} Picture
 * @property {number} elapsed_s
 * @property {number} count players in all
 * @property {Player[]} players those that are shown
 * @property {Record<string, string>} numbers
 * @property {{ pid: number, partitions: number }[]} workers
 * @property {string[]} events newest last
 */

/** Time without a message after which the demo counts as ended. */
const ENDED_MS = 4000;
const POLL_MS = 500;
const TILE = 300;

let demoAt = -Infinity;
let demoPlayers = 0;
const events = new EventSource(address("watch/stream"));
events.onmessage = (/** @type {MessageEvent<string>} */ event) => {
  demoAt = performance.now();
  showPicture(JSON.parse(event.data));
};
setInterval(look, POLL_MS);
look();

/** The players of this gateway, and who plays in all. */
async function look() {
  if (document.hidden) return;
  const response = await fetch(address("watch/players")).catch(() => null);
  if (!response?.ok) return showState("reconnecting", "The game cannot be reached. Trying again …");
  /** @type {{ count: number, players: Here[] }} */
  const { count, players } = await response.json();
  const demo = performance.now() - demoAt < ENDED_MS;
  element("here", HTMLElement).hidden = !count;
  element("demo", HTMLElement).hidden = !demo;
  fillTiles("players", players.map((one) => ({
    ...one,
    trail: [],
    words: [one.name, one.finished ? "out" : amount(one.moves, "move") + (one.race ? ", race" : "")],
  })));
  const parts = [count ? `${amount(count, "player")} here` : "", demo ? `${amount(demoPlayers, "player")} in the demo` : ""];
  const text = parts.filter(Boolean).join(", ");
  showState(text ? "playing" : "waiting", text ? `${text}.` : "No players just now.");
}

/** @param {string} state @param {string} text */
function showState(state, text) {
  element("state", HTMLElement).dataset.state = state;
  element("state-text", HTMLElement).textContent = text;
}

/** @param {Picture} picture */
function showPicture(picture) {
  demoPlayers = picture.count;
  element("demo", HTMLElement).hidden = false;
  fill("numbers", Object.entries(picture.numbers).map(([what, value]) => {
    const pair = document.createElement("div");
    pair.append(made("dt", what), made("dd", value));
    return pair;
  }));
  fill("workers", picture.workers.map((one) => made("li", `worker ${one.pid}: ${amount(one.partitions, "partition")}`)));
  fill("events", picture.events.map((sentence) => made("li", sentence)));
  fillTiles("tiles", picture.players.map((one, at) => ({
    ...one, words: [`${at + 1} ${one.wants ? ARROWS[one.wants] : ""}`, `${one.solved} solved`],
  })));
}

/** @param {string} id @param {Tile[]} shown */
function fillTiles(id, shown) {
  const tiles = element(id, HTMLElement);
  while (tiles.children.length > shown.length) tiles.lastElementChild?.remove();
  shown.forEach((one, at) => drawTile(tiles.children[at] ?? addTile(tiles), one));
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

/** @param {Element} tile @param {Tile} player */
function drawTile(tile, player) {
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
  tile.querySelectorAll("span").forEach((span, at) => (span.textContent = player.words[at]));
  canvas.setAttribute("aria-label", `${player.words.join(", ")}: at cell ${player.cell}`);
  canvas.setAttribute("role", "img");
}
