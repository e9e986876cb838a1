/** Asks for the player's name before a race is begun or joined. */

import { element } from "./types.js";

/** @typedef {import("./types.js").RaceFound} RaceFound */

/**
 * @typedef {object} NamingEvents
 * @property {(on: boolean) => void} paused whether moves do not walk
 * @property {(name: string) => void} renamed
 * @property {(race?: string) => void} enter
 * @property {() => void} declined the player does not join
 */

export class Naming {
  #dialog = element("naming", HTMLDialogElement);
  #input = element("racer-name", HTMLInputElement);

  /** @param {NamingEvents} events */
  constructor(events) {
    this.events = events;
  }

  get open() {
    return this.#dialog.open;
  }

  /**
   * Ask for the player's name, then begin a race or join one.
   *
   * @param {string} stored the name so far
   * @param {RaceFound} [race] that was begun by another player
   */
  enter(stored, race) {
    if (this.open) return;
    this.#input.value = stored;
    element("naming-title", HTMLElement).textContent = race?.names.length ? `Race with ${race.names.join(", ")}` : "Race";
    element("naming-yes", HTMLElement).textContent = race ? "Join the race" : "Begin a race";
    this.#dialog.returnValue = "";
    this.#dialog.addEventListener("close", () => this.#answered(stored, race?.id), { once: true });
    this.#dialog.showModal();
    this.#input.select();
    this.events.paused(true);
  }

  /** Race under the name that is shown. */
  take() {
    this.#dialog.close("yes");
  }

  /** @param {string} stored @param {string} [race] */
  #answered(stored, race) {
    this.events.paused(false);
    const name = this.#input.value.trim();
    if (this.#dialog.returnValue !== "yes") return race && this.events.declined();
    if (name !== stored) this.events.renamed(name);
    this.events.enter(race);
  }
}
