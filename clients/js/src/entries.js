// Stream entries: which frames go into which, the commands that add them, and the error for those not accepted.

import { Backpressure, RedisRefused, SendLost, SendRefused } from "./errors.js";
import { GROUP, framesKey, pack, partitionOf, shown } from "./wire.js";

/** @typedef {import("./wire.js").NumberedFrame} NumberedFrame */
/** @typedef {import("./connection.js").Command} Command */
/** @typedef {{ partition: number, frames: NumberedFrame[], doubtful: boolean, fault: RedisRefused | null }} Entry */

const MAX_FRAMES_PER_ENTRY = 1024;

/** @param {Uint8Array} bytes */
const buffer = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

/** @param {NumberedFrame[]} frames @param {number} partitions @returns {Entry[]} */
export function plan(frames, partitions) {
  /** @type {Map<number, NumberedFrame[]>} */
  const byPartition = new Map();
  for (const frame of frames) {
    const partition = partitionOf(frame.session, partitions);
    byPartition.set(partition, [...(byPartition.get(partition) ?? []), frame]);
  }
  return [...byPartition].flatMap(([partition, all]) =>
    Array.from({ length: Math.ceil(all.length / MAX_FRAMES_PER_ENTRY) }, (_, i) => ({
      partition,
      frames: all.slice(i * MAX_FRAMES_PER_ENTRY, (i + 1) * MAX_FRAMES_PER_ENTRY),
      doubtful: false,
      fault: null,
    })),
  );
}

/** @param {Entry} entry @param {boolean} compact @param {string} replyTo "" for none @returns {Command} */
export function add({ partition, frames }, compact, replyTo) {
  const fields = pack(frames, { compact });
  const landmarks = fields.c ? ["c", buffer(fields.c)] : ["l", buffer(/** @type {Uint8Array} */ (fields.l))];
  const beside = [...(fields.o ? ["o", fields.o] : []), ...(replyTo ? ["r", replyTo] : [])];
  return ["XADD", framesKey(partition), "*", "s", fields.s, "m", buffer(fields.m), ...landmarks, ...beside];
}

/** @param {number} partition @returns {Command[]} */
export const readLag = (partition) => [
  ["XINFO", "GROUPS", framesKey(partition)],
  ["XLEN", framesKey(partition)],
];

/** @param {unknown} groups @param {unknown} length */
export function lagOf(groups, length) {
  for (const group of Array.isArray(groups) ? groups : []) {
    const fields = Array.isArray(group) ? Object.fromEntries(group.flatMap((name, i) => (i % 2 ? [] : [[name, group[i + 1]]]))) : group;
    if (fields.name === GROUP && typeof fields.lag === "number") return fields.lag;
  }
  return typeof length === "number" ? length : 0;
}

/** Raises the error that names every frame not known to be accepted. @param {Entry[]} full @param {Entry[]} left @param {number} maxLag */
export function raise(full, left, maxLag) {
  const entries = [...full, ...left];
  if (!entries.length) return;
  const frames = entries.flatMap((one) => one.frames);
  const where = [...new Set(entries.map((one) => one.partition))].sort((a, b) => a - b).join(", ");
  const refused = `frames not accepted: ${frames.length}, of partitions ${where}`;
  if (left.some((one) => one.doubtful)) throw new SendLost("connection", "Redis did not answer: whether the frames were accepted is unknown", frames, true);
  const faults = left.map((one) => one.fault).filter((one) => one !== null && one.reason !== "memory");
  const worst = faults.find((one) => !one?.momentary) ?? faults[0];
  if (worst) throw new SendRefused(worst.reason, `${worst.message}; ${refused}`, frames, worst.momentary);
  if (left.length) throw new Backpressure("memory", `Redis is at its memory limit; ${refused}`, frames);
  throw new Backpressure("lag", `workers are more than ${maxLag} entries behind; ${refused}`, frames);
}

/** @param {unknown} frames what was passed to `sendTick` @throws {TypeError} with the call that takes it */
export function checkFrames(frames) {
  if (!Array.isArray(frames)) throw new TypeError(`sendTick takes an array of frames, got ${shown(frames)}: for one frame call send(frame)`);
  for (const frame of frames)
    if (typeof frame !== "object" || frame === null || Array.isArray(frame))
      throw new TypeError(`expected a frame, { session, landmarks, aspect } say, got ${shown(frame)}${Array.isArray(frame) ? ": for several frames call sendTick(frames)" : ""}`);
}
