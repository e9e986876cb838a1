/** Hands on a canvas: as bones over the camera's picture, and as drawings for the legend. */

import { colour } from "./maze-view.js";

/** @typedef {import("./types.js").Point} Point */

const FINGERS = [
  [0, 1, 2, 3, 4],
  [0, 5, 6, 7, 8],
  [9, 10, 11, 12],
  [13, 14, 15, 16],
  [0, 17, 18, 19, 20],
];
const PALM = [0, 1, 5, 9, 13, 17];
const KNUCKLES = [5, 9, 13, 17];

/**
 * @param {CanvasRenderingContext2D} brush
 * @param {Point[]} points
 * @param {number} width of the canvas
 * @param {number} height of the canvas
 */
export function drawBones(brush, points, width, height) {
  const at = (/** @type {number} */ n) => [points[n][0] * width, points[n][1] * height];
  brush.lineCap = brush.lineJoin = "round";
  brush.strokeStyle = colour("bone");
  brush.lineWidth = width / 110;
  for (const chain of [...FINGERS, KNUCKLES]) trace(brush, chain, at);
  brush.fillStyle = colour("token");
  for (let n = 0; n < points.length; n++) {
    const [x, y] = at(n);
    brush.beginPath();
    brush.arc(x, y, width / 110, 0, 2 * Math.PI);
    brush.fill();
  }
}

/**
 * Draw a solid hand: thick strokes from far to near, each with an outline.
 *
 * @param {CanvasRenderingContext2D} brush
 * @param {Point[]} points
 * @param {number} width of the canvas
 * @param {number} height of the canvas
 */
export function drawFlesh(brush, points, width, height) {
  const at = (/** @type {number} */ n) => [points[n][0] * width, points[n][1] * height];
  const palm = Math.hypot(at(9)[0] - at(0)[0], at(9)[1] - at(0)[1]) + Math.hypot(at(5)[0] - at(17)[0], at(5)[1] - at(17)[1]);
  const thick = palm * 0.145;
  const depth = (/** @type {number[]} */ chain) => chain.reduce((sum, n) => sum + points[n][2], 0) / chain.length;
  const parts = FINGERS.map((chain) => ({ chain: chain.filter((n) => n !== 0), depth: depth(chain.slice(1)) }));
  parts.push({ chain: PALM, depth: depth(PALM) });
  brush.lineCap = brush.lineJoin = "round";
  for (const { chain } of parts.sort((a, b) => b.depth - a.depth)) {
    for (const [tint, extra] of /** @type {[string, number][]} */ ([["skin-edge", thick * 0.28], ["skin", 0]])) {
      brush.strokeStyle = brush.fillStyle = colour(tint);
      brush.lineWidth = thick + extra;
      trace(brush, chain, at, chain === PALM);
    }
  }
}

/**
 * @param {CanvasRenderingContext2D} brush
 * @param {number[]} chain
 * @param {(n: number) => number[]} at
 * @param {boolean} [filled]
 */
function trace(brush, chain, at, filled = false) {
  brush.beginPath();
  for (const n of chain) brush.lineTo(at(n)[0], at(n)[1]);
  if (filled) {
    brush.closePath();
    brush.fill();
  }
  brush.stroke();
}

/** A drawing for the legend, as the player sees the own hand in a mirror. @param {HTMLCanvasElement} canvas @param {Point[]} points */
export function drawIcon(canvas, points) {
  const brush = canvas.getContext("2d");
  if (!brush) return;
  canvas.width = canvas.height = 168;
  const xs = points.map((point) => -point[0] * 4);
  const ys = points.map((point) => point[1] * 3);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const [wide, tall] = [Math.max(...xs) - left, Math.max(...ys) - top];
  const scale = 0.68 / Math.max(wide, tall);
  const fitted = points.map((point, n) => /** @type {Point} */ ([
    0.5 + (xs[n] - left - wide / 2) * scale, 0.5 + (ys[n] - top - tall / 2) * scale, point[2],
  ]));
  brush.clearRect(0, 0, canvas.width, canvas.height);
  drawFlesh(brush, fitted, canvas.width, canvas.height);
}

/**
 * The hand in a pose, mirrored for `left:` and a gesture; null for a gesture that has no drawing.
 *
 * @param {Record<string, Point[]>} poses
 * @param {string} gesture
 * @returns {Point[] | null}
 */
export function poseOf(poses, gesture) {
  const points = poses[gesture.slice(gesture.indexOf(":") + 1)];
  if (!points) return null;
  return gesture.startsWith("left:") ? points.map(([x, y, z]) => [1 - x, y, z]) : points;
}
