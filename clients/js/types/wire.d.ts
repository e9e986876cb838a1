export declare const WIRE_VERSION = 1;
/** The gestures of the bundled model, in the order of its labels. */
export declare const GESTURES: string[];
export declare const TOPOLOGY = "{maze}:topology";
export declare const GROUP = "maze";
export declare const LANDMARKS = 21;
export declare const META_BYTES = 24;
export declare const FULL_BYTES: number;
export declare const COMPACT_BYTES: number;
export declare const MAX_ENTRY_BYTES: number;
export declare const HAND = 1;
export declare const LEFT = 2;
export declare const MIRRORED = 4;
export type Point = readonly [number, number, number?] | {
    x: number;
    y: number;
    z?: number;
};
export type Frame = {
    /**
     * session id, `[A-Za-z0-9_-]{1,64}`
     */
    session: string;
    /**
     * rises within the session, also over restarts; left out, the producer takes it
     * from the clock
     */
    seq?: number | bigint;
    /**
     * the client's clock in ms; left out, the time of the send
     */
    t?: number | bigint;
    /**
     * 21 points in MediaPipe's image coordinates; null or empty: no hand
     */
    landmarks?: readonly Point[] | null;
    /**
     * image width / height; 1 for isotropic units
     */
    aspect?: number;
    hand?: "left" | "right" | null;
    /**
     * the image is mirrored
     */
    mirrored?: boolean;
    /**
     * of the session, from this frame on; a producer repeats them by itself
     */
    settings?: SessionSettings | null;
};
export type SessionSettings = {
    /**
     * evidence at which a gesture settles, 100 to 5000: 700 is eager, 1400 is calm
     */
    settle_evidence?: number;
    /**
     * time from the first move of a gesture to its second, 50 to 60,000
     */
    first_repeat_ms?: number;
    /**
     * time between the moves after that, 50 to 60,000
     */
    repeat_ms?: number;
    /**
     * least confidence of an action, 0 to 1
     */
    threshold?: number;
    /**
     * gesture, or `left:` or `right:` and a gesture, to action
     */
    actions?: Record<string, Action>;
};
export type NumberedFrame = Frame & {
    seq: number | bigint;
    t: number | bigint;
};
export type Fields = {
    s: string;
    m: Uint8Array;
    l: Uint8Array;
    c?: undefined;
    o?: string;
} | {
    s: string;
    m: Uint8Array;
    c: Uint8Array;
    l?: undefined;
    o?: string;
};
export type Action = "up" | "down" | "left" | "right";
export type Reply = {
    v: 1;
    session: string;
    seq: number;
    t: number;
    gesture: string | null;
    label: number | null;
    confidence: number;
    /**
     * of the frame; missing in replies of workers before this key
     */
    hand?: "left" | "right" | null;
    /**
     * what this frame alone shows
     */
    action: Action | null;
    /**
     * what the game should do now
     */
    move: Action | "stop" | null;
    model: string;
    /**
     * true for a `stop` that the client adds where replies cease while a move is held
     */
    synthetic?: boolean;
};
/** CRC-32 as zlib computes it. @param {string} text */
export declare function crc32(text: string): number;
/** @param {string} session @param {number} partitions */
export declare const partitionOf: (session: string, partitions: number) => number;
/** @param {number} partition */
export declare const framesKey: (partition: number) => string;
/** @param {number} partition */
export declare const outcomesKey: (partition: number) => string;
/** @param {number} partition @param {string} session */
export declare const actionsChannel: (partition: number, session: string) => string;
/** Channel of the replies to entries that name it in their field `r`. @param {number} partition @param {string} name */
export declare const replyChannel: (partition: number, name: string) => string;
/** @param {unknown} session */
export declare const isSession: (session: unknown) => boolean;
/** A value for an error, not longer than 80 characters. @param {unknown} value */
export declare const shown: (value: unknown) => string;
/**
 * Checks a frame as the pool would; a key that is not one of a frame is a mistake.
 * @template {Frame} F
 * @param {F} frame
 * @returns {F & NumberedFrame} the frame itself
 * @throws {FrameError}
 */
export declare function checkFrame<F extends Frame>(frame: F): F & NumberedFrame;
/**
 * Checks and packs frames of one partition.
 * @param {readonly Frame[]} frames with seq and t
 * @param {{ compact?: boolean }} [options] compact: where the topology allows it and every coordinate fits
 * @returns {Fields}
 * @throws {FrameError}
 */
export declare function pack(frames: readonly Frame[], { compact }?: {
    compact?: boolean;
}): Fields;
/**
 * Takes packed fields apart. Inverse of `pack`, up to the precision of float32 or of compact landmarks.
 * @param {{ s: string | Uint8Array, m: Uint8Array, l?: Uint8Array, c?: Uint8Array }} fields
 * @returns {(NumberedFrame & { seq: bigint, t: bigint, landmarks: [number, number, number][] })[]}
 * @throws {FrameError} `bad_length` or `unknown_encoding`
 */
export declare function unpack({ s, m, l, c }: {
    s: string | Uint8Array;
    m: Uint8Array;
    l?: Uint8Array;
    c?: Uint8Array;
}): (NumberedFrame & {
    seq: bigint;
    t: bigint;
    landmarks: [number, number, number][];
})[];
/**
 * The reply in a message of a session's channel, or null where it is not a reply.
 * @param {string} text
 * @returns {Reply | null}
 */
export declare function parseReply(text: string): Reply | null;
/**
 * The replies in a message of a reply channel, without what is not a reply.
 * @param {string} text
 * @returns {Reply[]}
 */
export declare function parseReplies(text: string): Reply[];
/**
 * The landmarks, hand and aspect of one hand of a MediaPipe result (Tasks or legacy), to be spread into a frame.
 * @param {any} result
 * @param {{ imageSize: readonly [number, number], hand?: number, mirrored?: boolean, labelOfMirrored?: boolean }} options
 *   mirrored: the picture that MediaPipe was given was mirrored. labelOfMirrored: MediaPipe's Left and Right are right
 *   for mirrored pictures; by default true for the legacy solution, false for Tasks.
 * @returns {{ landmarks: Point[], hand: "left" | "right" | null, aspect: number, mirrored: boolean }}
 */
export declare function fromMediapipe(result: any, { imageSize, hand, mirrored, labelOfMirrored }?: {
    imageSize: readonly [number, number];
    hand?: number;
    mirrored?: boolean;
    labelOfMirrored?: boolean;
}): {
    landmarks: Point[];
    hand: "left" | "right" | null;
    aspect: number;
    mirrored: boolean;
};
