/** The maze in the page of `maze teach`: which gesture goes where, and a walk with the newest model. */

import { drawIcon, poseOf } from "./hand-view.js";
import { Link } from "./link.js";
import { MazeView } from "./maze-view.js";
import { ask } from "./teach-api.js";
import { part } from "./teach-look.js";
import { ARROWS, DIRECTIONS, amount, element } from "./types.js";

/** @typedef {import("./types.js").Direction} Direction */
/** @typedef {import("./types.js").Game} Game */

/** @type {Record<Direction, string>} */
const USUAL = { up: "like", down: "dislike", left: "three", right: "four" };
const MOST_SEEDS = 2 ** 31 - 1;

export class Trial {
  /** @type {Link | null} */
  #link = null;
  /** @type {Game | null} */
  #game = null;
  #view = new MazeView(element("maze", HTMLCanvasElement));
  #offered = "";

  /**
   * @param {(text: string) => void} show
   * @param {(gesture: string | null, confidence: number) => void} seen
   * @param {() => void} mapped called when the model has a mapping
   * @param {Record<string, import("./types.js").Point[]>} poses drawings of published gestures
   * @param {string | null} seed of the maze; another maze each time without it
   */
  constructor(show, seen, mapped, poses, seed) {
    this.poses = poses;
    this.mapped = mapped;
    this.show = show;
    this.seen = seen;
    this.seed = seed;
  }

  get playing() {
    return this.#link !== null;
  }

  /** Offer the gestures of a model: its own ones first. @param {import("./teach-api.js").Result} result @param {string} idle */
  offer(result, idle) {
    const gestures = result.gestures.join();
    if (this.#offered === gestures) return;
    this.#offered = gestures;
    this.show("Choose a gesture for each way, then play.");
    const own = result.own.map((one) => one.name).filter((name) => name !== idle);
    const names = result.gestures.filter((name) => name !== idle);
    const fresh = own.filter((name) => !Object.values(USUAL).includes(name));
    element("mapping", HTMLElement).replaceChildren(...DIRECTIONS.map((way, at) => {
      const line = part("label", `${ARROWS[way]} ${way} `);
      line.className = "line";
      const select = document.createElement("select");
      select.dataset.way = way;
      select.append(...names.map((name) => new Option(name)));
      select.value = fresh[at] ?? USUAL[way];
      const drawing = document.createElement("canvas");
      const draw = () => {
        const pose = poseOf({ ...this.poses, ...result.drawings }, select.value);
        drawing.hidden = !pose;
        if (pose) drawIcon(drawing, pose);
      };
      select.onchange = draw;
      draw();
      line.append(select, drawing);
      return line;
    }));
  }

  async play() {
    /** @type {Record<string, string>} */
    const actions = {};
    for (const one of /** @type {NodeListOf<HTMLSelectElement>} */ (document.querySelectorAll("#mapping select"))) {
      actions[one.value] = /** @type {string} */ (one.dataset.way);
    }
    if (Object.keys(actions).length < DIRECTIONS.length) throw new Error("Choose a different gesture for each direction.");
    this.show("Starting a worker with your model …");
    await ask("try", "POST", { actions });
    this.mapped();
    this.show("Find the way to the star.");
    this.#link ??= this.#open();
    this.again();
  }

  #open() {
    const link = new Link(() => "teacher", {
      welcome: () => (link.send({ type: "input", input: "camera" }), this.again()),
      reply: (news) => this.seen(news.gesture, news.confidence),
      message: (news) => this.#message(news),
      changed: () => {},
    });
    link.open();
    return link;
  }

  again() {
    this.#link?.send({ type: "start", size: "small", seed: Number(this.seed) || Math.floor(Math.random() * MOST_SEEDS) });
  }

  /** @param {import("./types.js").Sight} sight */
  add(sight) {
    this.#link?.offer(sight);
  }

  fit() {
    if (this.#game) this.#view.fit();
  }

  /** @param {number} cell where the token is */
  #note(cell) {
    element("maze", HTMLElement).dataset.cell = String(cell);
  }

  /** @param {any} news */
  #message(news) {
    if (news.type === "maze") {
      this.#game = news;
      element("again", HTMLElement).hidden = false;
      /** @type {HTMLElement} */ (document.querySelector(".field")).hidden = false;
      this.#view.show(news, news.cell);
      this.#note(news.cell);
    } else if (news.type === "at" && this.#game) {
      const still = news.cell === this.#game.cell;
      if (!still) this.#view.walk(news.cell);
      else if (news.move && news.move !== "stop") this.#view.bump(news.move);
      this.#game = { ...this.#game, ...news };
      this.#note(news.cell);
    } else if (news.type === "finished") {
      this.#view.celebrate();
      this.show(`You are out in ${amount(news.moves, "move")}. Ship it, or continue.`);
    }
  }
}
