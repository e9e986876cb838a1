/** The menu that works by gestures alone: a held palm opens it, up and down choose, a held palm selects. */

import { element } from "./types.js";

/** @typedef {import("./types.js").Input} Input */
/** @typedef {import("./types.js").Move} Move */
/** @typedef {import("./types.js").Size} Size */
/** @typedef {{ name: string, run: () => void }} Choice */

/** Time without a gesture after which the menu closes. */
const PATIENCE_MS = 15_000;

/**
 * @param {Size} size of the maze that is walked
 * @param {Input} input what it is walked with
 * @param {{ begin: () => void, daily: () => void, size: (one: Size) => void, choose: (one: Input) => void }} does
 * @returns {Choice[]} the entries of the menu
 */
export function choicesOf(size, input, does) {
  const sizes = /** @type {Size[]} */ (["small", "medium", "large"]).filter((one) => one !== size);
  const inputs = /** @type {Input[]} */ (["camera", "simulated"]).filter((one) => one !== input);
  return [
    { name: "Continue this maze", run: () => {} },
    { name: "Next maze", run: does.begin },
    { name: "Daily maze", run: does.daily },
    ...sizes.map((one) => ({ name: `A ${one} maze`, run: () => does.size(one) })),
    ...inputs.map((one) => ({
      name: `Play with the ${one === "camera" ? "camera" : "simulated hand"}`, run: () => does.choose(one),
    })),
  ];
}

export class Menu {
  #box = element("menu", HTMLElement);
  #list = element("menu-list", HTMLElement);
  /** @type {Choice[]} */
  #choices = [];
  #at = 0;
  /** @type {number | undefined} */
  #timer;

  /** @param {(open: boolean) => void} changed */
  constructor(changed) {
    this.changed = changed;
    element("menu-close", HTMLElement).addEventListener("click", () => this.close());
  }

  get open() {
    return !this.#box.hidden;
  }

  /** @param {Choice[]} choices */
  show(choices) {
    this.#choices = choices;
    this.#list.replaceChildren(...choices.map((choice, at) => this.#item(choice, at)));
    this.#box.hidden = false;
    this.#mark(0);
    this.changed(true);
  }

  close() {
    if (!this.open) return;
    clearTimeout(this.#timer);
    this.#box.hidden = true;
    this.changed(false);
  }

  /** A move that the gesture asks for. @param {Move} move */
  move(move) {
    if (move === "up") this.#mark(this.#at - 1);
    else if (move === "down") this.#mark(this.#at + 1);
    else if (move === "left") this.close();
  }

  /** Select the marked entry. */
  take() {
    const choice = this.#choices[this.#at];
    this.close();
    choice?.run();
  }

  /** @param {Choice} choice @param {number} at */
  #item(choice, at) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.textContent = choice.name;
    button.addEventListener("click", () => {
      this.#at = at;
      this.take();
    });
    item.append(button);
    return item;
  }

  /** @param {number} at */
  #mark(at) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.close(), PATIENCE_MS);
    this.#at = (at + this.#choices.length) % this.#choices.length;
    [...this.#list.querySelectorAll("button")].forEach((button, n) => {
      if (n === this.#at) {
        button.setAttribute("aria-current", "true");
        button.focus();
      } else button.removeAttribute("aria-current");
    });
  }
}
