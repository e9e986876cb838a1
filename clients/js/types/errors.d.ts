/** Root of every error that this package raises on purpose. */
export declare class MazeError extends Error {
    /** A word from a closed list. */
    reason: string;
    /** @param {string} reason @param {string} message @param {ErrorOptions} [options] */
    constructor(reason: string, message: string, options?: ErrorOptions);
}
/** A frame breaks the contract; `reason` is the word with which the pool would have rejected it. */
export declare class FrameError extends MazeError {
}
/** An option is wrong, or Redis holds another topology. Reasons: `settings`, `topology`. */
export declare class SettingsError extends MazeError {
}
/** Redis cannot be reached or does not answer (`connection`), or no pool has started on it (`no_pool`). */
export declare class ConnectionLost extends MazeError {
}
/** A producer, or the replies of one, is used after it was closed. Nothing was sent. Reason: `closed`. */
export declare class ProducerClosed extends MazeError {
    /** @param {string} what */
    constructor(what: string);
}
/** Redis answered with an error, for good unless `momentary`. */
export declare class RedisRefused extends MazeError {
    momentary: boolean;
    /** @param {string} reason @param {string} message @param {boolean} momentary */
    constructor(reason: string, message: string, momentary: boolean);
}
export type Frame = import("./wire.js").Frame;
/**
 * A send that did not, or perhaps did not, add all of its frames.
 * @typedef {import("./wire.js").Frame} Frame
 */
export declare class SendError extends MazeError {
    /** The frames that are not known to be accepted; every other frame of the send was accepted. */
    frames: readonly import("./wire.js").Frame[];
    /** @param {string} reason @param {string} message @param {readonly Frame[]} frames */
    constructor(reason: string, message: string, frames: readonly Frame[]);
}
/** The pool (`lag`) or Redis (`memory`) cannot take more now: `frames` were not accepted. Drop them. */
export declare class Backpressure extends SendError {
}
/** No answer. Where `sent`, whether `frames` were accepted is unknown; else none of them was sent. */
export declare class SendLost extends SendError {
    sent: boolean;
    /** @param {string} reason @param {string} message @param {readonly Frame[]} frames @param {boolean} sent */
    constructor(reason: string, message: string, frames: readonly Frame[], sent: boolean);
}
/** Redis answered with an error: `frames` were not accepted. */
export declare class SendRefused extends SendError {
    momentary: boolean;
    /** @param {string} reason @param {string} message @param {readonly Frame[]} frames @param {boolean} momentary */
    constructor(reason: string, message: string, frames: readonly Frame[], momentary: boolean);
}
/**
 * What an error answer of Redis means.
 * @param {string} answer as Redis sent it, or as the client library shows it
 * @param {string} command and key
 */
export declare function refusal(answer: string, command: string): {
    error: RedisRefused;
    reconnect: boolean;
};
