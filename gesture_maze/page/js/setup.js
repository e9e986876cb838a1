/** The buttons and settings of the page, and what each does. */

import { element } from "./types.js";

/** @typedef {import("./types.js").Input} Input */
/** @typedef {import("./types.js").Size} Size */

const NAME_KEY = "maze.name";

/**
 * @typedef {object} Doings
 * @property {() => void} begin a new maze
 * @property {() => void} daily the maze of the day
 * @property {() => void} race begin a race
 * @property {() => void} next continue after a walk
 * @property {(size: Size) => void} size
 * @property {(input: Input) => void} input
 * @property {(name: string) => void} renamed
 * @property {() => void} folded the settings were opened or closed
 * @property {() => void} board another scoreboard was chosen
 */

/** Connect the buttons. @param {Doings} doings @param {import("./sound.js").Sound} sound */
export function connectButtons(doings, sound) {
  const clicks = { again: doings.begin, next: doings.next, daily: doings.daily, race: doings.race };
  for (const [id, run] of Object.entries(clicks)) element(id, HTMLElement).addEventListener("click", () => run());
  for (const button of document.querySelectorAll("[data-size]")) {
    button.addEventListener("click", () => {
      showSetup(false, doings.folded); // the maze of another size begins
      doings.size(/** @type {Size} */ (button.getAttribute("data-size")));
    });
  }
  for (const button of document.querySelectorAll("[data-input]")) {
    button.addEventListener("click", () => doings.input(/** @type {Input} */ (button.getAttribute("data-input"))));
  }
  connectBoards(doings.board);
  const loud = element("sound", HTMLInputElement);
  loud.checked = sound.on;
  loud.addEventListener("change", () => sound.turn(loud.checked));
  connectFold(doings.folded);
  connectName(doings.renamed);
}

/** @param {() => void} chosen */
function connectBoards(chosen) {
  const boards = element("scores-by", HTMLElement);
  let pointed = false;
  boards.addEventListener("pointerdown", () => (pointed = true));
  boards.addEventListener("keydown", () => (pointed = false));
  boards.addEventListener("change", () => {
    // a player with a mouse continues with the arrow keys, which must not choose another board
    if (pointed) boards.blur();
    chosen();
  });
}

/** @param {() => void} folded */
function connectFold(folded) {
  const form = element("setup", HTMLFormElement);
  element("fold", HTMLElement).addEventListener("click", () => showSetup(form.hidden, folded));
}

/** Open or close the settings. @param {boolean} open @param {() => void} folded */
function showSetup(open, folded) {
  const [form, button] = [element("setup", HTMLFormElement), element("fold", HTMLElement)];
  if (!open && form.contains(document.activeElement)) button.focus();
  form.hidden = !open;
  button.setAttribute("aria-expanded", String(open));
  folded();
}

/** @param {string} shown of the player */
export function setName(shown) {
  element("name", HTMLInputElement).value = shown;
  localStorage.setItem(NAME_KEY, shown);
}

/** @param {(name: string) => void} renamed */
function connectName(renamed) {
  const name = element("name", HTMLInputElement);
  name.value = localStorage.getItem(NAME_KEY) ?? "";
  element("setup", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    name.blur();
  });
  name.addEventListener("change", () => renamed(name.value));
}

/** Mark the chosen one of a group of buttons. @param {"size" | "input"} group @param {string} chosen */
export function mark(group, chosen) {
  for (const button of document.querySelectorAll(`[data-${group}]`)) {
    if (button instanceof HTMLButtonElement) {
      button.setAttribute("aria-pressed", String(button.dataset[group] === chosen));
    }
  }
}
