export type Reply = import("./wire.js").Reply;
export type Client = import("./connection.js").Client;
/**
 * The replies to some sessions: `for await (const reply of replies)`, or `await replies.get(timeoutMs)`.
 * A lost connection is replaced for as long as it takes; what is published meanwhile is lost.
 * @implements {AsyncIterable<Reply>}
 */
export declare class Replies implements AsyncIterable<Reply> {
    #private;
    url: string;
    options: {
        partitions: number;
        name: string;
        timeoutMs: number;
        releaseMs: number;
        onClose?: (replies: Replies) => void;
    };
    /** Name of the reply channel of these replies, one in each partition. */
    replyTo: string;
    /**
     * @param {string} url
     * @param {{ partitions: number, name: string, timeoutMs: number, releaseMs: number, onClose?: (replies: Replies) => void }} options
     */
    constructor(url: string, options: {
        partitions: number;
        name: string;
        timeoutMs: number;
        releaseMs: number;
        onClose?: (replies: Replies) => void;
    });
    /**
     * Listens for more sessions; it is subscribed when this resolves.
     * @param {...string} sessions
     */
    subscribe(...sessions: string[]): Promise<void>;
    /** @param {...string} sessions */
    unsubscribe(...sessions: string[]): Promise<void>;
    /** Whether any of these sessions is listened for. @param {string[]} sessions */
    wantsAny(sessions: string[]): boolean;
    /** Whether the replies to these sessions of one partition may go to the reply channel. @param {number} partition @param {string[]} sessions */
    takesAll(partition: number, sessions: string[]): boolean;
    /** Seq of the last reply; -1 before the first, null for a session that is not listened for. @param {string} session */
    lastSeq(session: string): number | null;
    /**
     * The next reply, or null when the time is up or this was closed.
     * @param {number} [timeoutMs] without end by default
     * @returns {Promise<Reply | null>}
     */
    get(timeoutMs?: number): Promise<Reply | null>;
    [Symbol.asyncIterator](): AsyncGenerator<import("./wire.js").Reply, void, unknown>;
    close(): Promise<void>;
}
