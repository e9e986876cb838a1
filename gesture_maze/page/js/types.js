/**
 * Types of the messages on the socket and of the values that modules exchange, and small helpers.
 *
 * @typedef {"up" | "down" | "left" | "right"} Direction
 * @typedef {Direction | "stop"} Move
 * @typedef {"camera" | "simulated" | "keyboard"} Input
 * @typedef {"small" | "medium" | "large"} Size
 * @typedef {[number, number, number]} Point in units of the picture's width and height; y down
 *
 * @typedef {object} Sight what a camera, real or not, sees at one instant
 * @property {Point[] | null} points 21 landmarks, or null where no hand is seen
 * @property {number} aspect picture width / height
 * @property {boolean} left it is a left hand
 * @property {number} captured ms of the wall clock
 * @property {{ camera?: number, tracker?: number }} stages ms that it took to come here
 *
 * @typedef {object} Reply a worker's answer to one frame
 * @property {number} seq
 * @property {number} t when the frame was captured, ms
 * @property {string | null} gesture
 * @property {number} confidence
 * @property {"left" | "right" | null} [hand]
 * @property {Direction | null} action
 * @property {Move | null} move
 *
 * @typedef {object} Where the part of a game that changes
 * @property {number} cell
 * @property {number} moves
 * @property {number} bumps
 * @property {number} time_ms
 * @property {boolean} running
 * @property {boolean} finished
 * @property {Move} [move]
 *
 * @typedef {object} Layout the part of a game that stays
 * @property {Size} size
 * @property {number} seed
 * @property {number} width in cells
 * @property {number} height in cells
 * @property {string} ways per cell one hexadecimal digit: 1 up, 2 down, 4 left, 8 right
 * @property {number} shortest moves of the shortest way out
 * @property {string | null} race the race that it belongs to
 * @property {number | null} opens_in_ms until the race starts
 *
 * @typedef {Layout & Where} Game
 *
 * @typedef {object} Welcome
 * @property {string} token
 * @property {string} name
 * @property {number} seq where the frames' numbers begin
 * @property {number} fps most frames per second
 * @property {Record<string, Direction>} actions
 * @property {Game | null} game
 *
 * @typedef {object} Finished
 * @property {Size} size
 * @property {number} seed
 * @property {number} shortest
 * @property {string | null} race
 * @property {number | null} rank
 * @property {number} moves
 * @property {number} time_ms
 * @property {Input} input
 *
 * @typedef {object} Racer
 * @property {string} who
 * @property {string} name
 * @property {number} cell
 * @property {number} moves
 * @property {number | null} time_ms
 * @property {number | null} place
 *
 * @typedef {object} Race
 * @property {string} id
 * @property {Size} size
 * @property {number} starts_ms 0 while it waits
 * @property {boolean} over
 * @property {string} you
 * @property {Racer[]} racers
 *
 * @typedef {object} RaceFound a race that the player can join
 * @property {string} id
 * @property {string[]} names of its players
 *
 * @typedef {object} Refused
 * @property {string} reason
 * @property {string} detail
 */

/** @type {Record<Direction, string>} */
export const ARROWS = { up: "↑", down: "↓", left: "←", right: "→" };

/** @type {Direction[]} in the order of the bits of `Layout.ways` */
export const DIRECTIONS = ["up", "down", "left", "right"];

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T} the element of this page
 */
export function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

/** An address below the one that the page was served from. @param {string} path relative @returns {URL} */
export function address(path) {
  return new URL(path, document.baseURI);
}

/** A count with its noun: "1 move", "2 moves". @param {number} count @param {string} noun @returns {string} */
export function amount(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** @param {number} ms @returns {string} */
export function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}
