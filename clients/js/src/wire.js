// The wire of gesture-maze: pure functions over bytes, for Node and browsers. See docs/wire.md.

import { FrameError } from "./errors.js";

export const WIRE_VERSION = 1;
/** The gestures of the bundled model, in the order of its labels. */
export const GESTURES = [
  "call", "fist", "dislike", "four", "two_up", "mute", "ok", "one", "palm", "peace", "peace_inverted", "rock", "stop", "stop_inverted", "three", "three2", "like", "two_up_inverted", "no_gesture",
];
export const TOPOLOGY = "{maze}:topology";
export const GROUP = "maze";
export const LANDMARKS = 21;
export const META_BYTES = 24;
export const FULL_BYTES = LANDMARKS * 3 * 4;
export const COMPACT_BYTES = LANDMARKS * 2 * 2;
export const MAX_ENTRY_BYTES = 1 << 20;
export const HAND = 1;
export const LEFT = 2;
export const MIRRORED = 4;

const MAX_SEQ = 2n ** 63n - 1n;
const MAX_MAGNITUDE = 1e9;

/** @typedef {readonly [number, number, number?] | { x: number, y: number, z?: number }} Point */
/**
 * One hand, or its absence, at one instant of one session.
 * @typedef {object} Frame
 * @property {string} session session id, `[A-Za-z0-9_-]{1,64}`
 * @property {number | bigint} [seq] rises within the session, also over restarts; left out, the producer takes it
 *   from the clock
 * @property {number | bigint} [t] the client's clock in ms; left out, the time of the send
 * @property {readonly Point[] | null} [landmarks] 21 points in MediaPipe's image coordinates; null or empty: no hand
 * @property {number} [aspect] image width / height; 1 for isotropic units
 * @property {"left" | "right" | null} [hand]
 * @property {boolean} [mirrored] the image is mirrored
 * @property {SessionSettings | null} [settings] of the session, from this frame on; a producer repeats them by itself
 */
/**
 * Settings of one session, where they differ from the workers' own; `{}` resets all.
 * @typedef {object} SessionSettings
 * @property {number} [settle_evidence] evidence at which a gesture settles, 100 to 5000: 700 is eager, 1400 is calm
 * @property {number} [first_repeat_ms] time from the first move of a gesture to its second, 50 to 60,000
 * @property {number} [repeat_ms] time between the moves after that, 50 to 60,000
 * @property {number} [threshold] least confidence of an action, 0 to 1
 * @property {Record<string, Action>} [actions] gesture, or `left:` or `right:` and a gesture, to action
 */
/** @typedef {Frame & { seq: number | bigint, t: number | bigint }} NumberedFrame */
/**
 * The fields of a stream entry: `l` or, for compact landmarks, `c`.
 * `o` is there if frames carry settings.
 * @typedef {{ s: string, m: Uint8Array, l: Uint8Array, c?: undefined, o?: string }
 *   | { s: string, m: Uint8Array, c: Uint8Array, l?: undefined, o?: string }} Fields
 */
/** @typedef {"up" | "down" | "left" | "right"} Action */
/**
 * @typedef {object} Reply
 * @property {1} v
 * @property {string} session
 * @property {number} seq
 * @property {number} t
 * @property {string | null} gesture
 * @property {number | null} label
 * @property {number} confidence
 * @property {"left" | "right" | null} [hand] of the frame; missing in replies of workers before this key
 * @property {Action | null} action what this frame alone shows
 * @property {Action | "stop" | null} move what the game should do now
 * @property {string} model
 * @property {boolean} [synthetic] true for a `stop` that the client adds where replies cease while a move is held
 */

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

/** CRC-32 as zlib computes it. @param {string} text */
export function crc32(text) {
  let crc = ~0;
  for (const byte of new TextEncoder().encode(text)) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** @param {string} session @param {number} partitions */
export const partitionOf = (session, partitions) => crc32(session) % partitions;
/** @param {number} partition */
export const framesKey = (partition) => `frames:{${partition}}`;
/** @param {number} partition */
export const outcomesKey = (partition) => `outcomes:{${partition}}`;
/** @param {number} partition @param {string} session */
export const actionsChannel = (partition, session) => `actions:{${partition}}:${session}`;
/** Channel of the replies to entries that name it in their field `r`. @param {number} partition @param {string} name */
export const replyChannel = (partition, name) => `actions:{${partition}}:@${name}`;
/** @param {unknown} session */
export const isSession = (session) => typeof session === "string" && /^[A-Za-z0-9_-]{1,64}$/.test(session) && !session.endsWith("\n");

/** @param {unknown} value @param {bigint} lowest */
function isInteger(value, lowest) {
  if (typeof value === "bigint") return value >= lowest && value <= MAX_SEQ;
  return Number.isInteger(value) && BigInt(/** @type {number} */ (value)) >= lowest && BigInt(/** @type {number} */ (value)) <= MAX_SEQ;
}

/** @param {Point} point @returns {[number, number, number]} */
function triple(point) {
  return "x" in point ? [point.x, point.y, point.z ?? 0] : [point[0], point[1], point[2] ?? 0];
}

const FRAME_KEYS = ["session", "seq", "t", "landmarks", "aspect", "hand", "mirrored", "settings"];

/** A value for an error, not longer than 80 characters. @param {unknown} value */
export const shown = (value) => String(JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part))).slice(0, 80);

/**
 * Checks a frame as the pool would; a key that is not one of a frame is a mistake.
 * @template {Frame} F
 * @param {F} frame
 * @returns {F & NumberedFrame} the frame itself
 * @throws {FrameError}
 */
export function checkFrame(frame) {
  /** @param {string} reason @param {string} message */
  const refuse = (reason, message) => new FrameError(reason, message);
  const unknown = Object.keys(frame).filter((key) => !FRAME_KEYS.includes(key));
  if (unknown.length) throw refuse("bad_json", `a frame has no key ${unknown.join(", ")}; it has ${FRAME_KEYS.join(", ")}`);
  if (!isSession(frame.session)) throw refuse("bad_session", `session must be 1 to 64 of A-Z, a-z, 0-9, _ and -, got ${shown(frame.session)}`);
  if (!isInteger(frame.seq, 0n)) throw refuse("bad_seq", `seq must be an integer from 0 to 2**63-1, got ${frame.seq}`);
  if (!isInteger(frame.t, -MAX_SEQ)) throw refuse("bad_time", `t must be an integer of 64 bits, in ms, got ${frame.t}`);
  const { aspect = 1, hand = null, mirrored = false } = frame;
  if (!(typeof aspect === "number" && aspect >= 0.01 && aspect <= 100)) throw refuse("bad_aspect", `aspect must be a number from 0.01 to 100, got ${aspect}`);
  if (!(hand === null || hand === "left" || hand === "right")) throw refuse("bad_flags", `hand must be left or right, got ${hand}`);
  if (typeof mirrored !== "boolean") throw refuse("bad_flags", `mirrored must be true or false, got ${mirrored}`);
  if (frame.settings !== undefined && frame.settings !== null) checkSettings(frame.settings);
  checkLandmarks(frame.landmarks ?? []);
  return /** @type {F & NumberedFrame} */ (frame);
}

/** @type {Record<string, [number, number]>} */
const RANGES = { settle_evidence: [100, 5000], first_repeat_ms: [50, 60_000], repeat_ms: [50, 60_000], threshold: [0, 1] };
const MAX_ACTIONS = 64;
const ACTION_KEY = /^(?:(?:left|right):)?[A-Za-z][A-Za-z0-9_-]{0,31}$/;
const ACTIONS = ["up", "down", "left", "right"];

/** @param {SessionSettings} settings */
function checkSettings(settings) {
  /** @param {string} message */
  const refuse = (message) => new FrameError("bad_settings", message);
  if (typeof settings !== "object" || Array.isArray(settings)) throw refuse(`settings must be an object, got ${JSON.stringify(settings)}`);
  if (settings.actions !== undefined && settings.actions !== null) checkActions(settings.actions, refuse);
  /** @type {[string, any][]} */
  const numbers = Object.entries(settings).filter(([name, value]) => name !== "actions" && value !== undefined && value !== null);
  for (const [name, value] of numbers) {
    if (!Object.hasOwn(RANGES, name)) throw refuse(`settings.${name}: unknown; known are ${Object.keys(RANGES).join(", ")} and actions`);
    const [low, high] = RANGES[name];
    const kind = name === "threshold" ? typeof value === "number" : Number.isInteger(value);
    if (!(kind && value >= low && value <= high)) throw refuse(`settings.${name} must be ${name === "threshold" ? "a number" : "an integer"} from ${low} to ${high}, got ${value}`);
  }
}

/** @param {Record<string, Action>} actions @param {(message: string) => FrameError} refuse */
function checkActions(actions, refuse) {
  if (typeof actions !== "object" || Array.isArray(actions)) throw refuse("settings.actions must be an object: gesture to action");
  const pairs = Object.entries(actions);
  if (pairs.length > MAX_ACTIONS) throw refuse(`settings.actions has ${pairs.length} gestures, at most ${MAX_ACTIONS} are allowed`);
  for (const [key, action] of pairs)
    if (!ACTION_KEY.test(key) || !ACTIONS.includes(action)) throw refuse(`settings.actions: expected a gesture and one of ${ACTIONS.join(", ")}, got ${key}: ${action}`);
}

/** The field `o`. @param {readonly Frame[]} frames */
function packSettings(frames) {
  const given = frames.flatMap((frame, at) => (frame.settings ? [[at, frame.settings]] : []));
  return given.length ? JSON.stringify(Object.fromEntries(given)) : "";
}

/** @param {readonly Point[]} landmarks */
function checkLandmarks(landmarks) {
  if (!Array.isArray(landmarks) || (landmarks.length !== 0 && landmarks.length !== LANDMARKS))
    throw new FrameError("bad_landmarks", `landmarks must be ${LANDMARKS} points, or none, got ${landmarks?.length}`);
  for (const point of landmarks) {
    if (Array.isArray(point) ? point.length < 2 || point.length > 3 : typeof point?.x !== "number")
      throw new FrameError("bad_landmarks", "a landmark must be [x, y], [x, y, z] or { x, y, z }");
    for (const value of triple(point)) {
      if (typeof value !== "number") throw new FrameError("bad_landmarks", `a landmark is not a number: ${value}`);
      if (!(Math.abs(value) <= MAX_MAGNITUDE)) throw new FrameError("not_finite", "a landmark is NaN, infinite or larger than 1e9");
    }
  }
}

/** @param {Frame} frame */
const flagsOf = (frame) =>
  (frame.landmarks?.length ? HAND : 0) | (frame.hand === "left" ? LEFT : 0) | (frame.mirrored ? MIRRORED : 0);

/** @param {readonly NumberedFrame[]} frames */
function packMeta(frames) {
  const m = new Uint8Array(frames.length * META_BYTES);
  const view = new DataView(m.buffer);
  frames.forEach((frame, row) => {
    const at = row * META_BYTES;
    view.setBigUint64(at, BigInt(frame.seq), true);
    view.setBigInt64(at + 8, BigInt(frame.t), true);
    view.setFloat32(at + 16, frame.aspect ?? 1, true);
    view.setUint32(at + 20, flagsOf(frame), true);
  });
  return m;
}

/** @param {readonly Frame[]} frames */
function packFull(frames) {
  const l = new Uint8Array(frames.length * FULL_BYTES);
  const view = new DataView(l.buffer);
  frames.forEach((frame, row) => {
    let at = row * FULL_BYTES;
    for (const point of frame.landmarks ?? [])
      for (const value of triple(point)) {
        view.setFloat32(at, value, true);
        at += 4;
      }
  });
  return l;
}

/** @param {readonly Frame[]} frames @returns {Uint8Array | null} null where a coordinate is outside -1 to 3 */
function packCompact(frames) {
  const c = new Uint8Array(frames.length * COMPACT_BYTES);
  const view = new DataView(c.buffer);
  for (const [row, frame] of frames.entries()) {
    let at = row * COMPACT_BYTES;
    for (const point of frame.landmarks ?? [])
      for (const value of triple(point).slice(0, 2)) {
        if (!(value >= -1 && value <= 3)) return null;
        view.setUint16(at, Math.round(((value + 1) / 4) * 65535), true);
        at += 2;
      }
  }
  return c;
}

/**
 * Checks and packs frames of one partition.
 * @param {readonly Frame[]} frames with seq and t
 * @param {{ compact?: boolean }} [options] compact: where the topology allows it and every coordinate fits
 * @returns {Fields}
 * @throws {FrameError}
 */
export function pack(frames, { compact = false } = {}) {
  const checked = frames.map(checkFrame);
  if (!checked.length) throw new FrameError("bad_length", "an entry carries at least one frame");
  const s = checked.map((frame) => frame.session).join(" ");
  const m = packMeta(checked);
  const c = compact ? packCompact(checked) : null;
  const landmarks = c ?? packFull(checked);
  const o = packSettings(checked);
  if (s.length + m.length + landmarks.length + o.length > MAX_ENTRY_BYTES) throw new FrameError("too_large", `${frames.length} frames are over ${MAX_ENTRY_BYTES} bytes`);
  const beside = o ? { o } : {};
  return c ? { s, m, c, ...beside } : { s, m, l: landmarks, ...beside };
}

/**
 * Takes packed fields apart. Inverse of `pack`, up to the precision of float32 or of compact landmarks.
 * @param {{ s: string | Uint8Array, m: Uint8Array, l?: Uint8Array, c?: Uint8Array }} fields
 * @returns {(NumberedFrame & { seq: bigint, t: bigint, landmarks: [number, number, number][] })[]}
 * @throws {FrameError} `bad_length` or `unknown_encoding`
 */
export function unpack({ s, m, l, c }) {
  const sessions = (typeof s === "string" ? s : new TextDecoder().decode(s)).split(" ");
  const landmarks = l ?? c;
  if (!landmarks || (l && c)) throw new FrameError("unknown_encoding", "expected s, m and one of l and c");
  const count = m.length / META_BYTES;
  if (!Number.isInteger(count) || sessions.length !== count || landmarks.length !== count * (l ? FULL_BYTES : COMPACT_BYTES))
    throw new FrameError("bad_length", "s, m and l (or c) must describe the same number of frames");
  const meta = new DataView(m.buffer, m.byteOffset, m.length);
  const points = new DataView(landmarks.buffer, landmarks.byteOffset, landmarks.length);
  return sessions.map((session, row) => {
    const at = row * META_BYTES;
    const flags = meta.getUint32(at + 20, true);
    return {
      session,
      seq: meta.getBigUint64(at, true),
      t: meta.getBigInt64(at + 8, true),
      aspect: meta.getFloat32(at + 16, true),
      hand: flags & LEFT ? /** @type {const} */ ("left") : null,
      mirrored: Boolean(flags & MIRRORED),
      landmarks: flags & HAND ? unpackPoints(points, row, Boolean(l)) : [],
    };
  });
}

/** @param {DataView} view @param {number} row @param {boolean} full @returns {[number, number, number][]} */
function unpackPoints(view, row, full) {
  return Array.from({ length: LANDMARKS }, (_, i) => {
    if (full) {
      const at = row * FULL_BYTES + i * 12;
      return [view.getFloat32(at, true), view.getFloat32(at + 4, true), view.getFloat32(at + 8, true)];
    }
    const at = row * COMPACT_BYTES + i * 4;
    return [(view.getUint16(at, true) * 4) / 65535 - 1, (view.getUint16(at + 2, true) * 4) / 65535 - 1, 0];
  });
}

/** @param {any} reply */
const isReply = (reply) => reply?.v === WIRE_VERSION && isSession(reply.session) && typeof reply.seq === "number" && "move" in reply;

/**
 * The reply in a message of a session's channel, or null where it is not a reply.
 * @param {string} text
 * @returns {Reply | null}
 */
export function parseReply(text) {
  try {
    const reply = JSON.parse(text);
    return isReply(reply) ? reply : null;
  } catch {
    return null;
  }
}

/**
 * The replies in a message of a reply channel, without what is not a reply.
 * @param {string} text
 * @returns {Reply[]}
 */
export function parseReplies(text) {
  try {
    const replies = JSON.parse(text);
    return Array.isArray(replies) ? replies.filter(isReply) : [];
  } catch {
    return [];
  }
}

/** @param {unknown} imageSize */
function aspectOf(imageSize) {
  const [width, height] = Array.isArray(imageSize) && imageSize.length === 2 ? imageSize : [];
  if (typeof width === "number" && typeof height === "number" && width > 0 && height > 0) return width / height;
  throw new FrameError("bad_aspect", `imageSize must be [width, height] in pixels, [640, 480] say, got ${shown(imageSize)}`);
}

/**
 * The landmarks, hand and aspect of one hand of a MediaPipe result (Tasks or legacy), to be spread into a frame.
 * @param {any} result
 * @param {{ imageSize: readonly [number, number], hand?: number, mirrored?: boolean, labelOfMirrored?: boolean }} options
 *   mirrored: the picture that MediaPipe was given was mirrored. labelOfMirrored: MediaPipe's Left and Right are right
 *   for mirrored pictures; by default true for the legacy solution, false for Tasks.
 * @returns {{ landmarks: Point[], hand: "left" | "right" | null, aspect: number, mirrored: boolean }}
 */
export function fromMediapipe(result, { imageSize, hand = 0, mirrored = false, labelOfMirrored } = /** @type {any} */ ({})) {
  const aspect = aspectOf(imageSize);
  const legacy = result?.multiHandLandmarks !== undefined;
  const hands = legacy ? result.multiHandLandmarks : (result?.landmarks ?? result?.hand_landmarks);
  if (result && hands === undefined) throw new FrameError("bad_landmarks", "expected a result of HandLandmarker, GestureRecognizer or Hands; for one hand of Holistic pass landmarks: result.rightHandLandmarks");
  const labels = (legacy ? result.multiHandedness : (result?.handedness ?? result?.handednesses)) ?? [];
  const one = Array.isArray(labels[hand]) ? labels[hand][0] : labels[hand];
  const label = one?.categoryName ?? one?.category_name ?? one?.label;
  const landmarks = /** @type {Point[]} */ (hands?.[hand] ?? []);
  const swap = mirrored !== (labelOfMirrored ?? legacy);
  const left = label === undefined ? null : (label.toLowerCase() === "left") !== swap;
  return { landmarks, hand: left === null || !landmarks.length ? null : left ? "left" : "right", aspect, mirrored };
}
