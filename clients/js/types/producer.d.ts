import { Replies } from "./replies.js";
export type Frame = import("./wire.js").Frame;
export type NumberedFrame = import("./wire.js").NumberedFrame;
export type Command = import("./connection.js").Command;
export type Entry = import("./entries.js").Entry;
export type Options = {
    /**
     * `redis://127.0.0.1:6379` by default
     */
    url?: string;
    /**
     * by default what Redis holds; given, it is written into an empty Redis
     */
    partitions?: number;
    /**
     * entries that a partition may be behind before frames for it are refused
     */
    maxLag?: number;
    /**
     * how old a reading of the lag may be
     */
    guardIntervalMs?: number;
    /**
     * how often a send is tried again after a missing answer
     */
    retries?: number;
    /**
     * longest wait for a connection or an answer, and for momentary refusals to end
     */
    timeoutMs?: number;
    /**
     * `release_ms` of the pool's decision policy
     */
    releaseMs?: number;
    /**
     * the replies to a tick come in one message per entry where one listener is
     * subscribed to all its sessions; switch it off where other programs listen to the same sessions
     */
    replyChannel?: boolean;
    /**
     * of the connections, as CLIENT LIST shows it
     */
    name?: string;
    /**
     * `console.warn` by default
     */
    onWarning?: (sentence: string) => void;
};
/** Sends frames to a pool and listens for the replies. */
export declare class FrameProducer {
    #private;
    options: {
        url: string;
        partitions: number | undefined;
        maxLag: number;
        guardIntervalMs: number;
        retries: number;
        timeoutMs: number;
        releaseMs: number;
        replyChannel: boolean;
        name: string;
        onWarning: (/** @type {string} */ sentence: string) => void;
    };
    /** @param {Options} [options] */
    constructor(options?: Options);
    /** Agrees with the pool on the number of partitions, and returns it. Sends do it themselves. */
    connect(): Promise<number>;
    /** @param {Frame} frame */
    send(frame: Frame): Promise<void>;
    /**
     * Sends a tick: one entry per partition, all in one round trip. Sends are carried out one after the other.
     * @param {readonly Frame[]} frames
     * @throws {import("./errors.js").FrameError} a frame breaks the contract; none was sent
     * @throws {Backpressure} `error.frames` were not accepted; drop them
     * @throws {SendRefused} Redis answered with an error; `error.frames` were not accepted
     * @throws {SendLost} whether `error.frames` were accepted is unknown
     */
    sendTick(frames: readonly Frame[]): Promise<void>;
    /**
     * Listens for the replies to sessions, on a connection of its own. It is subscribed when this resolves.
     * @param {...string} sessions
     */
    actions(...sessions: string[]): Promise<Replies>;
    /** Closes all connections, those of listeners too. */
    close(): Promise<void>;
}
