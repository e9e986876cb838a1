// Warnings of a producer: inputs that are probably mistakes, and frames that get no reply.

import { GESTURES } from "./wire.js";

/** @typedef {import("./wire.js").NumberedFrame} NumberedFrame */

export const OUTCOMES = ["answered", "duplicate", "rejected", "stale", "superseded", "buried"];

const INTERVAL_MS = 1000;
const FIRST_CHECKS = 100;
const FEWEST = 5;
const SILENT_MS = 5000;
const YEAR_S = 366 * 86400;
/** @type {[string, number][]} */
const FINER = [["microseconds", 1000], ["nanoseconds", 1_000_000]];
const LARGEST_IMAGE_COORDINATE = 4;
/** World landmarks are in metres from the middle of the hand. */
const LARGEST_WORLD_COORDINATE = 0.2;
const REMEDIES = /** @type {Record<string, string>} */ ({
  duplicate: "seq must rise for the life of a session id, also over restarts: leave seq out, or take it from a clock in ms",
  rejected: "they are invalid: `maze dead` shows the reasons",
  stale: "they were older than the deadline when they were read: start more workers or send less",
  superseded: "newer frames of the same sessions were already waiting: start more workers or send less",
  buried: "their processing failed: `maze dead` shows the cause",
});

/** Passes each kind of warning on once. */
class Once {
  /** @param {(sentence: string) => void} warn */
  constructor(warn) {
    this.warn = warn;
    this.warned = new Set();
  }

  /** @param {string} kind @param {string} sentence */
  say(kind, sentence) {
    if (this.warned.has(kind)) return;
    this.warned.add(kind);
    this.warn(sentence);
  }
}

/** Looks at some frames: seconds for milliseconds, 21 equal points, pixels with an aspect. */
export class InputCheck {
  /** @param {(sentence: string) => void} warn */
  constructor(warn) {
    this.once = new Once(warn);
    this.left = FIRST_CHECKS;
    this.nextMs = 0;
  }

  /** @param {NumberedFrame} frame @param {number} nowMs Unix time */
  look(frame, nowMs) {
    if (this.left > 0) this.left -= 1;
    else if (nowMs < this.nextMs) return;
    this.nextMs = nowMs + INTERVAL_MS;
    const { session, landmarks, aspect = 1 } = frame;
    if (Math.abs(Number(frame.t) - nowMs / 1000) < YEAR_S)
      this.once.say("seconds", `session ${session}: t ${frame.t} looks like seconds; it must be milliseconds, Date.now() say`);
    for (const [unit, perMs] of FINER)
      if (Math.abs(Number(frame.t) / perMs - nowMs) < YEAR_S * 1000)
        this.once.say(unit, `session ${session}: t ${frame.t} looks like ${unit}; it must be milliseconds, Date.now() say`);
    this.lookAtSettings(frame);
    this.lookAtLandmarks(session, landmarks, aspect);
  }

  /** @param {NumberedFrame} frame */
  lookAtSettings({ settings }) {
    const names = Object.keys(settings?.actions ?? {}).map((key) => key.replace(/^(left|right):/, ""));
    const unknown = names.filter((name) => !GESTURES.includes(name));
    if (unknown.length)
      this.once.say(
        "gestures",
        `settings name the gestures ${unknown.join(", ")}, which the bundled model does not know: they have an effect only if ` +
          `the pool's model was taught them. It knows ${GESTURES.join(", ")}`,
      );
  }

  /** @param {string} session @param {NumberedFrame["landmarks"]} landmarks @param {number} aspect */
  lookAtLandmarks(session, landmarks, aspect) {
    const points = (landmarks ?? []).map((point) => ("x" in point ? [point.x, point.y] : [point[0], point[1]]));
    if (!points.length) return;
    if (points.every(([x, y]) => x === points[0][0] && y === points[0][1]))
      this.once.say("equal", `session ${session}: all 21 landmarks are the same point; send landmarks: null where no hand is detected`);
    const largest = Math.max(...points.flat().map(Math.abs));
    if (largest > LARGEST_IMAGE_COORDINATE)
      this.once.say(
        "scale",
        aspect === 1
          ? `session ${session}: landmarks reach ${digits(largest)}, and are taken for one unit in x and y (aspect 1); ` +
              "divide image coordinates by the image's width and height, and pass aspect: width / height"
          : `session ${session}: landmarks reach ${digits(largest)} with aspect ${digits(aspect)}; for pixels or millimetres pass aspect: 1`,
      );
    const aroundZero = [0, 1].every((axis) => points.some((point) => point[axis] < 0) && points.some((point) => point[axis] > 0));
    if (aspect !== 1 && largest < LARGEST_WORLD_COORDINATE && aroundZero)
      this.once.say("world", `session ${session}: landmarks around 0 look like MediaPipe's world landmarks; send its image landmarks, or pass aspect: 1`);
  }
}

/** @param {number} value */
const digits = (value) => String(Number(value.toPrecision(4)));

/** Compares the pool's counters, at most once a second, and warns of sessions that get no replies. */
export class OutcomeWatch {
  /**
   * @param {(session: string) => number | null} lastSeq of the last reply; -1 before the first, null: not listening
   * @param {(sentence: string) => void} warn
   */
  constructor(lastSeq, warn) {
    this.once = new Once(warn);
    this.lastSeq = lastSeq;
    /** @type {Map<number, string[]>} */
    this.sent = new Map();
    /** @type {Map<number, { counts: number[], lastSeqs: Map<string, number | null>, changedMs: number }>} */
    this.seen = new Map();
    this.nextMs = 0;
    this.enabled = true;
  }

  /** @param {number} partition @param {string[]} sessions */
  note(partition, sessions) {
    this.sent.set(partition, sessions);
  }

  /** The partitions whose counters are to be read now. @param {number} nowMs @returns {number[]} */
  due(nowMs) {
    if (nowMs < this.nextMs || !this.enabled) return [];
    this.nextMs = nowMs + INTERVAL_MS;
    return [...this.sent.keys()];
  }

  /** @param {number} partition @param {unknown} answer of HMGET @param {number} nowMs */
  read(partition, answer, nowMs) {
    if (!Array.isArray(answer)) {
      this.enabled = false; // not permitted
      return;
    }
    const sessions = this.sent.get(partition) ?? [];
    this.sent.delete(partition);
    const counts = answer.map((value) => Number(value ?? 0));
    const lastSeqs = new Map(sessions.map((session) => [session, this.lastSeq(session)]));
    const seen = this.seen.get(partition);
    const still = seen && sessions.some((one) => seen.lastSeqs.has(one)) && counts.every((count, i) => count === seen.counts[i]);
    const changedMs = still ? seen.changedMs : nowMs;
    this.seen.set(partition, { counts, lastSeqs, changedMs });
    if (!seen) return;
    if (nowMs - changedMs >= SILENT_MS)
      this.once.say("no_worker", `no worker has processed a frame of partition ${partition} for ${SILENT_MS / 1000} s: \`maze status\` shows whether one owns it`);
    const [answered, ...others] = counts.map((count, i) => count - seen.counts[i]);
    const most = Math.max(...others);
    const silent = sessions.filter((one) => {
      const last = lastSeqs.get(one);
      return seen.lastSeqs.has(one) && (last === null ? answered === 0 : last === seen.lastSeqs.get(one));
    });
    if (most < FEWEST || !silent.length) return;
    const outcome = OUTCOMES[1 + others.indexOf(most)];
    this.once.say(
      outcome,
      `session ${silent[0]} gets no replies: ${most} frames of its partition (${partition}) ended as ${outcome} within the last second; ${REMEDIES[outcome]}`,
    );
  }
}
