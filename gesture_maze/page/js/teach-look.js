/** The takes as drawn hands: doubtful ones are marked; one click removes or relabels. */

import { drawIcon } from "./hand-view.js";
import { amount, element } from "./types.js";

/** @typedef {import("./teach-api.js").Take} Take */
/** @typedef {{ remove: (take: Take) => void, relabel: (take: Take, label: string) => void }} Changes */

/** @param {number} share @returns {string} */
export const percent = (share) => `${Math.round(100 * share)} %`;

/** @param {import("./teach-api.js").State} state @param {Changes} changes */
export function showTakes(state, changes) {
  const box = element("takes", HTMLElement);
  if (!state.takes.length) return box.replaceChildren(part("p", "No takes yet. Record some first."));
  const names = state.gestures.filter((name) => state.takes.some((take) => take.label === name));
  box.replaceChildren(...names.flatMap((name) => {
    const takes = state.takes.filter((take) => take.label === name);
    const list = part("ul");
    list.className = "takes";
    list.append(...takes.map((take) => tile(take, state.gestures, changes)));
    return [part("h3", `${name} (${amount(takes.length, "take")})`), list];
  }));
  for (const [at, take] of names.flatMap((name) => state.takes.filter((one) => one.label === name)).entries()) {
    draw(/** @type {HTMLCanvasElement} */ (box.querySelectorAll("canvas")[at]), take);
  }
}

/** @param {Take} take @param {string[]} gestures @param {Changes} changes */
function tile(take, gestures, changes) {
  const item = part("li");
  item.dataset.take = take.id;
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Hands of a take of ${take.label}`);
  const label = document.createElement("select");
  label.setAttribute("aria-label", `Gesture of the take ${take.id}`);
  label.append(...gestures.map((name) => new Option(name, name, false, name === take.label)));
  label.onchange = () => changes.relabel(take, label.value);
  const remove = part("button", "Remove");
  remove.onclick = () => changes.remove(take);
  const row = part("div");
  row.className = "row";
  row.append(label, remove);
  const facts = `${take.seconds.toFixed(1)} s, ${amount(take.hands, "hand")}, varied ${percent(take.variety.total)}`;
  item.append(canvas, part("small", facts), ...why(take), row);
  item.classList.toggle("doubtful", Boolean(take.verdict?.doubtful));
  return item;
}

/** @param {Take} take */
function why({ verdict }) {
  if (!verdict?.doubtful) return [];
  const like = verdict.looks_like === "no_gesture" ? "no gesture" : verdict.looks_like;
  const words = part("span", `Doubtful: ${percent(verdict.share)} looks like ${like}`);
  words.className = "why";
  return [words];
}

/** @param {HTMLCanvasElement} canvas @param {Take} take */
function draw(canvas, take) {
  const [columns, rows, side] = [3, 2, 110];
  const brush = canvas.getContext("2d");
  [canvas.width, canvas.height] = [columns * side, rows * side];
  take.shown.slice(0, columns * rows).forEach((points, at) => {
    const small = document.createElement("canvas");
    drawIcon(small, points);
    brush?.drawImage(small, (at % columns) * side, Math.floor(at / columns) * side, side, side);
  });
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} kind
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[K]}
 */
export function part(kind, text) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  return made;
}
