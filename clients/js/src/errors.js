// One tree of errors. `reason` is from a closed list; see docs/wire.md.

/** Root of every error that this package raises on purpose. */
export class MazeError extends Error {
  /** @param {string} reason @param {string} message @param {ErrorOptions} [options] */
  constructor(reason, message, options) {
    super(message, options);
    this.name = new.target.name;
    /** A word from a closed list. */
    this.reason = reason;
  }
}

/** A frame breaks the contract; `reason` is the word with which the pool would have rejected it. */
export class FrameError extends MazeError {}

/** An option is wrong, or Redis holds another topology. Reasons: `settings`, `topology`. */
export class SettingsError extends MazeError {}

/** Redis cannot be reached or does not answer (`connection`), or no pool has started on it (`no_pool`). */
export class ConnectionLost extends MazeError {}

/** A producer, or the replies of one, is used after it was closed. Nothing was sent. Reason: `closed`. */
export class ProducerClosed extends MazeError {
  /** @param {string} what */
  constructor(what) {
    super("closed", `this ${what} is closed: open another`);
  }
}

/** Redis answered with an error, for good unless `momentary`. */
export class RedisRefused extends MazeError {
  /** @param {string} reason @param {string} message @param {boolean} momentary */
  constructor(reason, message, momentary) {
    super(reason, message);
    this.momentary = momentary;
  }
}

/**
 * A send that did not, or perhaps did not, add all of its frames.
 * @typedef {import("./wire.js").Frame} Frame
 */
export class SendError extends MazeError {
  /** @param {string} reason @param {string} message @param {readonly Frame[]} frames */
  constructor(reason, message, frames) {
    super(reason, message);
    /** The frames that are not known to be accepted; every other frame of the send was accepted. */
    this.frames = frames;
  }
}

/** The pool (`lag`) or Redis (`memory`) cannot take more now: `frames` were not accepted. Drop them. */
export class Backpressure extends SendError {}

/** No answer. Where `sent`, whether `frames` were accepted is unknown; else none of them was sent. */
export class SendLost extends SendError {
  /** @param {string} reason @param {string} message @param {readonly Frame[]} frames @param {boolean} sent */
  constructor(reason, message, frames, sent) {
    super(reason, message, frames);
    this.sent = sent;
  }
}

/** Redis answered with an error: `frames` were not accepted. */
export class SendRefused extends SendError {
  /** @param {string} reason @param {string} message @param {readonly Frame[]} frames @param {boolean} momentary */
  constructor(reason, message, frames, momentary) {
    super(reason, message, frames);
    this.momentary = momentary;
  }
}

/** Codes that begin Redis's error answers: reason, whether it is momentary, whether to reconnect. */
const CODES = /** @type {Record<string, [string, boolean, boolean]>} */ ({
  NOPERM: ["no_permission", false, false],
  NOAUTH: ["credentials", false, false],
  WRONGPASS: ["credentials", false, false],
  WRONGTYPE: ["wrong_type", false, false],
  MOVED: ["wrong_node", false, false],
  ASK: ["wrong_node", false, false],
  READONLY: ["read_only", true, true],
  LOADING: ["loading", true, true],
  MASTERDOWN: ["master_down", true, true],
  CLUSTERDOWN: ["cluster_down", true, true],
  UNBLOCKED: ["unblocked", true, true],
  TRYAGAIN: ["try_again", true, false],
  NOREPLICAS: ["no_replicas", true, false],
  MISCONF: ["misconfigured", true, false],
  BUSY: ["busy", true, false],
  OOM: ["memory", true, false],
});

/**
 * What an error answer of Redis means.
 * @param {string} answer as Redis sent it, or as the client library shows it
 * @param {string} command and key
 */
export function refusal(answer, command) {
  const code = /^-?([A-Z]+)\b/.exec(answer)?.[1] ?? "";
  let [reason, momentary, reconnect] = CODES[code] ?? ["other", false, false];
  if (/unknown command/i.test(answer)) reason = "unknown_command";
  if (/max number of clients/.test(answer)) [reason, momentary] = ["max_clients", true];
  return { error: new RedisRefused(reason, `Redis refused ${command}: ${answer}`, momentary), reconnect };
}
