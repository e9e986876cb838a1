/** A race on the page: its link, its players, and where they are in the maze. */

import { RACER_COLOURS, waysOut } from "./maze-view.js";
import { address, amount, element, seconds } from "./types.js";

/** @typedef {import("./types.js").Race} Race */
/** @typedef {import("./types.js").Racer} Racer */

export class RaceView {
  /** @type {Race | null} */
  race = null;
  #box = element("race-box", HTMLElement);

  /**
   * @param {import("./maze-view.js").MazeView} view
   * @param {{ go: () => void, leave: () => void }} events
   */
  constructor(view, events) {
    this.view = view;
    this.go = events.go;
    element("race-go", HTMLElement).addEventListener("click", events.go);
    element("race-leave", HTMLElement).addEventListener("click", events.leave);
    element("race-copy", HTMLElement).addEventListener("click", () => this.#copy());
  }

  /** Show a race that was joined or started. @param {Race} race */
  show(race) {
    this.race = race;
    const link = address("game");
    link.searchParams.set("race", race.id);
    element("race-link", HTMLInputElement).value = link.href;
    this.#box.hidden = false;
    this.#update();
  }

  /** Show where a racer is. @param {Racer} racer */
  move(racer) {
    if (!this.race) return;
    const racers = this.race.racers.map((one) => (one.who === racer.who ? racer : one));
    this.race = { ...this.race, racers, over: racers.every((one) => one.place !== null) };
    this.#update();
  }

  hide() {
    this.race = null;
    this.#box.hidden = true;
    this.view.showOthers([]);
  }

  /** Whether a race was started and not all players have finished. */
  get running() {
    return this.race !== null && this.race.starts_ms > 0 && !this.race.over;
  }

  /** Players of a race that has not started; 0 without one. */
  get gathered() {
    return this.race && !this.race.starts_ms ? this.race.racers.length : 0;
  }

  /** Bring the link into view, ready to be copied. */
  invite() {
    const link = element("race-link", HTMLInputElement);
    link.scrollIntoView({ block: "center" });
    link.focus();
    link.select();
  }

  #update() {
    const race = this.race;
    if (!race) return;
    const ranked = race.racers.map((racer, colour) => ({ racer, colour: colour % RACER_COLOURS }));
    const running = race.starts_ms > 0;
    this.view.showOthers(running ? ranked.filter(({ racer }) => racer.who !== race.you).map((one) => tokenOf(one, race.racers)) : []);
    ranked.sort((a, b) => (a.racer.place ?? 99) - (b.racer.place ?? 99) || b.racer.moves - a.racer.moves);
    element("racers", HTMLElement).replaceChildren(...ranked.map(({ racer, colour }) => lineOf(racer, colour, race)));
    const go = element("race-go", HTMLButtonElement);
    go.hidden = running && !race.over;
    go.textContent = running ? "Race again in another maze" : "Start the race";
  }

  async #copy() {
    const link = element("race-link", HTMLInputElement);
    link.select();
    const button = element("race-copy", HTMLElement);
    try {
      await navigator.clipboard.writeText(link.value);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Press Ctrl C";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  }
}

/**
 * The player's rank in a race, in one sentence: by place, then by the way that is left.
 *
 * @param {Pick<Race, "racers" | "you">} race
 * @param {Pick<import("./types.js").Layout, "ways" | "width">} maze in which it is run
 */
export function standingOf({ racers, you }, maze) {
  const me = racers.find((one) => one.who === you);
  if (me?.place) return `You made it: ${me.place} of ${racers.length}. The others are on their way.`;
  const left = waysOut(maze);
  const behind = (/** @type {Racer} */ one) => one.place ?? racers.length + left[one.cell];
  const [first, second] = [...racers].sort((a, b) => behind(a) - behind(b));
  if (!me || !second || racers.every((one) => behind(one) === behind(me))) return "Be the first at the star.";
  const rank = racers.filter((one) => behind(one) < behind(me)).length + 1;
  if (rank === 1) return `You are 1 of ${racers.length}${behind(second) === behind(me) ? ", tied with another player." : "."}`;
  return `You are ${rank} of ${racers.length}. ${nameOf(first, racers)} ${first.place ? "made it" : "leads"}.`;
}

/** How a race has ended for the player. @param {Pick<Race, "racers" | "you">} race */
export function endOf({ racers, you }) {
  const [me, first] = [racers.find((one) => one.who === you), racers.find((one) => one.place === 1)];
  if (me?.place === 1) return "You won!";
  if (!me?.place || !first) return "The race is over.";
  return `You are ${me.place} of ${racers.length}. ${nameOf(first, racers)} won.`;
}

/** The name of a racer, numbered where several have the same. @param {Racer} racer @param {Racer[]} racers */
function nameOf(racer, racers) {
  const same = racers.filter((one) => one.name === racer.name);
  return same.length > 1 ? `${racer.name} ${same.findIndex((one) => one.who === racer.who) + 1}` : racer.name;
}

/** @param {{ racer: Racer, colour: number }} one @param {Racer[]} racers */
function tokenOf({ racer, colour }, racers) {
  const name = nameOf(racer, racers);
  const letter = name === racer.name ? [...name][0]?.toUpperCase() : name.slice(racer.name.length + 1);
  return { cell: racer.cell, colour, letter: letter ?? "?" };
}

/** @param {Racer} racer @param {number} colour @param {Race} race */
function lineOf(racer, colour, race) {
  const line = document.createElement("li");
  const dot = document.createElement("i");
  dot.className = racer.who === race.you ? "racer-you" : `racer-${colour}`; // as the tokens in the maze
  const name = document.createElement("span");
  name.textContent = nameOf(racer, race.racers) + (racer.who === race.you ? " (you)" : "");
  const how = document.createElement("span");
  how.textContent = racer.place ? `${racer.place}. in ${seconds(racer.time_ms ?? 0)}` : amount(racer.moves, "move");
  line.append(dot, name, how);
  return line;
}
