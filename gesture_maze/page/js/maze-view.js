/** The maze on a canvas: walls, the way walked, the exit and the token. */

import { DIRECTIONS } from "./types.js";

/** @typedef {import("./types.js").Layout} Layout */
/** @typedef {import("./types.js").Direction} Direction */

const GLIDE_MS = 120;
/** The first picture after a move shows the token on its way already, not where it was. */
const HEAD_START_MS = 25;
const BUMP_MS = 180;
const CONFETTI_MS = 1600;
const CONFETTI = 48;
/** In pixels of the page. */
const LEAST_WIDTH = 180;
const LEAST_HEIGHT = 160;
/** Colours of other racers, see the style sheet. */
export const RACER_COLOURS = 8;

/** @param {Pick<Layout, "ways">} layout @param {number} cell @returns {Direction[]} where there is no wall */
export function openWays(layout, cell) {
  const bits = parseInt(layout.ways[cell], 16);
  return DIRECTIONS.filter((_, at) => bits & (1 << at));
}

/** @param {Pick<Layout, "ways" | "width">} layout @returns {number[]} per cell, the moves from there to the exit */
export function waysOut(layout) {
  const moves = Array(layout.ways.length).fill(Infinity);
  const reached = [layout.ways.length - 1];
  moves[reached[0]] = 0;
  for (const cell of reached) {
    for (const way of openWays(layout, cell)) {
      const beyond = cell + STEP[way][0] + STEP[way][1] * layout.width;
      if (moves[beyond] < Infinity) continue;
      moves[beyond] = moves[cell] + 1;
      reached.push(beyond);
    }
  }
  return moves;
}

/** @type {Record<Direction, [number, number]>} */
const STEP = { up: [0, -1], down: [0, 1], left: [-1, 0], right: [1, 0] };

/**
 * Draws walls as lines between the cells, `unit` pixels a cell.
 *
 * @param {CanvasRenderingContext2D} brush
 * @param {Pick<Layout, "width" | "height" | "ways">} layout
 * @param {number} unit
 */
export function drawWalls(brush, layout, unit) {
  const { width, height } = layout;
  brush.beginPath();
  for (let cell = 0; cell < width * height; cell++) {
    const [x, y] = [(cell % width) * unit, Math.floor(cell / width) * unit];
    const open = openWays(layout, cell);
    if (!open.includes("right") && cell % width < width - 1) line(brush, x + unit, y, x + unit, y + unit);
    if (!open.includes("down") && cell < width * (height - 1)) line(brush, x, y + unit, x + unit, y + unit);
  }
  brush.roundRect(0, 0, width * unit, height * unit, unit / 8);
  brush.stroke();
}

/** @param {CanvasRenderingContext2D} brush @param {number[]} ends x, y, x, y */
function line(brush, ...ends) {
  brush.moveTo(ends[0], ends[1]);
  brush.lineTo(ends[2], ends[3]);
}

/** @param {string} name @returns {string} a colour of the style sheet */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** @param {CanvasRenderingContext2D} brush @param {number} x @param {number} y @param {number} size */
export function drawStar(brush, x, y, size) {
  brush.beginPath();
  for (let tip = 0; tip < 10; tip++) {
    const [reach, turn] = [tip % 2 ? size * 0.45 : size, (tip * Math.PI) / 5 - Math.PI / 2];
    brush.lineTo(x + reach * Math.cos(turn), y + reach * Math.sin(turn));
  }
  brush.closePath();
  brush.fill();
}

export class MazeView {
  /** @type {Layout | null} */
  #layout = null;
  /** @type {number[]} cells walked, in order */
  #trail = [];
  #from = { x: 0, y: 0 };
  #to = { x: 0, y: 0 };
  #moved = -Infinity;
  /** @type {{ way: Direction, at: number } | null} */
  #bump = null;
  /** @type {number | null} where the ghost of the best walk is */
  #ghost = null;
  /** @type {{ cell: number, colour: number, letter: string }[]} other racers */
  #others = [];
  #celebrated = -Infinity;
  #waiting = false;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    const brush = canvas.getContext("2d");
    if (!brush) throw new Error("this browser cannot draw");
    this.brush = brush;
    new ResizeObserver(() => this.#fit()).observe(canvas.parentElement ?? canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#redraw());
  }

  /** A new maze, the token at `cell`. @param {Layout} layout @param {number} cell */
  show(layout, cell) {
    this.#layout = layout;
    this.#trail = [cell];
    this.#from = this.#to = this.#middle(cell);
    this.#moved = -Infinity;
    this.#ghost = null;
    this.#celebrated = -Infinity;
    this.#fit();
  }

  /** Fit the canvas into the window again. */
  fit() {
    this.#fit();
  }

  /** @param {number | null} cell */
  showGhost(cell) {
    if (cell === this.#ghost) return;
    this.#ghost = cell;
    this.#redraw();
  }

  /** @param {{ cell: number, colour: number, letter: string }[]} others */
  showOthers(others) {
    this.#others = others;
    this.#redraw();
  }

  /** Throw confetti from the star; the way stays visible. */
  celebrate() {
    if (this.#still.matches) return;
    this.#celebrated = performance.now();
    this.#redraw();
  }

  /** Move the token. @param {number} cell */
  walk(cell) {
    if (this.#trail.at(-1) === cell) return;
    this.#from = this.#now();
    this.#to = this.#middle(cell);
    this.#moved = performance.now() - HEAD_START_MS;
    this.#trail.push(cell);
    this.#redraw();
  }

  /** Show that the token meets a wall. @param {Direction} way */
  bump(way) {
    this.#bump = { way, at: performance.now() };
    this.#redraw();
  }

  /** @param {number} cell */
  #middle(cell) {
    const width = this.#layout?.width ?? 1;
    return { x: (cell % width) + 0.5, y: Math.floor(cell / width) + 0.5 };
  }

  #now() {
    const done = this.#still.matches ? 1 : Math.min((performance.now() - this.#moved) / GLIDE_MS, 1);
    const eased = done * (2 - done);
    return { x: this.#from.x + (this.#to.x - this.#from.x) * eased, y: this.#from.y + (this.#to.y - this.#from.y) * eased };
  }

  #fit() {
    const layout = this.#layout;
    const box = this.canvas.parentElement;
    if (!layout || !box) return;
    const top = box.getBoundingClientRect().top + scrollY;
    // the height of what is below the maze in the same view, from the style sheet
    const below = parseFloat(getComputedStyle(box).getPropertyValue("--below")) || 0;
    const tall = Math.max(innerHeight - top - below, LEAST_HEIGHT);
    const width = Math.max(Math.min(box.clientWidth, (tall * layout.width) / layout.height), LEAST_WIDTH);
    const sharp = devicePixelRatio || 1;
    this.canvas.style.width = `${width}px`;
    this.canvas.width = Math.round(width * sharp);
    this.canvas.height = Math.round((width * layout.height * sharp) / layout.width);
    this.#redraw();
  }

  #redraw() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#draw();
    });
  }

  #draw() {
    const layout = this.#layout;
    if (!layout) return;
    const { brush, canvas } = this;
    const edge = Math.max(canvas.width / 160, 3);
    const unit = (canvas.width - edge) / layout.width;
    brush.setTransform(1, 0, 0, 1, 0, 0);
    brush.clearRect(0, 0, canvas.width, canvas.height);
    brush.translate(edge / 2, edge / 2);
    this.#drawTrail(unit);
    brush.fillStyle = colour("exit");
    drawStar(brush, (layout.width - 0.5) * unit, (layout.height - 0.5) * unit, unit * 0.3);
    brush.strokeStyle = colour("wall");
    brush.lineWidth = edge;
    brush.lineCap = brush.lineJoin = "round";
    drawWalls(brush, layout, unit);
    this.#drawGhost(unit);
    this.#others.forEach((other, at) => this.#drawOther(other, at, unit));
    this.#drawToken(unit);
    const now = performance.now();
    const celebrates = now - this.#celebrated < CONFETTI_MS;
    if (celebrates) this.#drawConfetti(layout, unit, now - this.#celebrated);
    if (now - this.#moved < GLIDE_MS || this.#bump || celebrates) this.#redraw();
  }

  /** @param {number} unit */
  #drawTrail(unit) {
    const { brush } = this;
    brush.strokeStyle = colour("trail");
    brush.lineWidth = unit * 0.34;
    brush.lineCap = brush.lineJoin = "round";
    brush.beginPath();
    for (const cell of this.#trail.slice(0, -1)) {
      const at = this.#middle(cell);
      brush.lineTo(at.x * unit, at.y * unit);
    }
    const at = this.#now();
    brush.lineTo(at.x * unit, at.y * unit);
    brush.stroke();
  }

  /** @param {number} unit */
  #drawGhost(unit) {
    if (this.#ghost === null) return;
    const { x, y } = this.#middle(this.#ghost);
    const { brush } = this;
    brush.strokeStyle = colour("soft");
    brush.lineWidth = unit * 0.06;
    brush.setLineDash([unit * 0.12, unit * 0.12]);
    circle(brush, x * unit, y * unit, unit * 0.25);
    brush.stroke();
    brush.setLineDash([]);
  }

  /** @param {{ cell: number, colour: number, letter: string }} other @param {number} at @param {number} unit */
  #drawOther(other, at, unit) {
    const { brush } = this;
    const { x, y } = this.#middle(other.cell);
    // racers in one cell stand beside each other
    const turn = (at / Math.max(this.#others.length, 1)) * 2 * Math.PI;
    const [left, top] = [(x + 0.14 * Math.cos(turn)) * unit, (y + 0.14 * Math.sin(turn)) * unit];
    brush.fillStyle = colour(`racer-${other.colour}`);
    circle(brush, left, top, unit * 0.2);
    brush.fill();
    brush.fillStyle = colour("on-racer");
    brush.font = `700 ${unit * 0.24}px system-ui, sans-serif`;
    brush.textAlign = "center";
    brush.textBaseline = "middle";
    brush.fillText(other.letter, left, top + unit * 0.01);
  }

  /** @param {Layout} layout @param {number} unit @param {number} ms since it began */
  #drawConfetti(layout, unit, ms) {
    const { brush } = this;
    const s = ms / 1000;
    brush.globalAlpha = 1 - ms / CONFETTI_MS;
    for (let n = 0; n < CONFETTI; n++) {
      // the same spread each time, so that no piece needs state
      const [turn, speed] = [n * 2.4, 1.2 + ((n * 7) % 11) / 6];
      const x = layout.width - 0.5 + Math.cos(turn) * speed * s;
      const y = layout.height - 0.5 + Math.sin(turn) * speed * s - 1.6 * s + 1.4 * s * s;
      brush.fillStyle = colour(`racer-${n % RACER_COLOURS}`);
      brush.fillRect(x * unit, y * unit, unit * 0.1, unit * 0.07);
    }
    brush.globalAlpha = 1;
  }

  /** @param {number} unit */
  #drawToken(unit) {
    const { brush } = this;
    let { x, y } = this.#now();
    if (this.#bump) {
      const done = (performance.now() - this.#bump.at) / BUMP_MS;
      if (done >= 1) this.#bump = null;
      else if (!this.#still.matches) {
        const lean = Math.sin(done * Math.PI) * 0.14;
        x += STEP[this.#bump.way][0] * lean;
        y += STEP[this.#bump.way][1] * lean;
      }
    }
    brush.fillStyle = colour("token");
    circle(brush, x * unit, y * unit, unit * 0.27);
    brush.fill();
  }
}

/** @param {CanvasRenderingContext2D} brush @param {number} x @param {number} y @param {number} radius */
function circle(brush, x, y, radius) {
  brush.beginPath();
  brush.arc(x, y, radius, 0, 2 * Math.PI);
}
