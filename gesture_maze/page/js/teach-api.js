/** Requests of the `maze teach` page to its server. */

import { address } from "./types.js";

/** @typedef {import("./types.js").Point} Point */
/** @typedef {{ turn: number, tilt: number, near_far: number, hands: number, total: number, prompt: string }} Variety */
/** @typedef {{ right: number, doubtful: boolean, looks_like: string, share: number }} Verdict */
/**
 * @typedef {object} Take
 * @property {string} id
 * @property {string} label
 * @property {string} source
 * @property {number} seconds
 * @property {number} hands
 * @property {Variety} variety
 * @property {Point[][]} shown
 * @property {Verdict | null} verdict
 *
 * @typedef {object} Result
 * @property {string} model
 * @property {string[]} gestures
 * @property {{ name: string, accuracy: number | null, acting: number | null }[]} own
 * @property {string[]} confusions
 * @property {string[]} close
 * @property {Record<string, Verdict>} takes
 * @property {{ enough: boolean, sentence: string }} kept whether the base keeps its accuracy
 * @property {number} threshold
 * @property {Record<string, string>} actions
 * @property {Record<string, Point[]>} drawings
 *
 * @typedef {{ running: boolean, progress: number, fault: string, result: Result | null }} Training
 *
 * @typedef {object} State
 * @property {string} folder
 * @property {string} base
 * @property {string[]} known
 * @property {string[]} gestures
 * @property {string} no_gesture
 * @property {string} consent
 * @property {Take[]} takes
 * @property {Training} training
 * @property {boolean} outdated
 * @property {string} pool
 *
 * @typedef {{ t: number, aspect: number, hand: "left" | "right" | null, landmarks: Point[] }} Frame
 */

/**
 * @param {string} path below /teach
 * @param {string} [method]
 * @param {unknown} [body] sent as JSON, or as it is if it is a file
 * @returns {Promise<any>}
 * @throws {Error} with the server's message
 */
export async function ask(path, method = "GET", body) {
  const plain = body === undefined || body instanceof Blob;
  const response = await fetch(address(`teach/${path}`), {
    method,
    body: plain ? body : JSON.stringify(body),
    headers: plain ? {} : { "Content-Type": "application/json" },
  }).catch(() => null);
  if (!response) throw new Error("maze teach does not answer: is it still running?");
  const found = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(found.detail ?? `the server answered ${response.status}`);
  return found;
}
