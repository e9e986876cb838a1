export type Command = (string | Buffer)[];
export type ConnectionOptions = {
    name: string;
    timeoutMs: number;
};
/** @typedef {(string | Buffer)[]} Command */
/** @typedef {{ name: string, timeoutMs: number }} ConnectionOptions */
/** @param {number} ms */
export declare const sleep: (ms: number) => Promise<any>;
/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @returns {Promise<T>}
 */
export declare function within<T>(promise: Promise<T>, ms: number): Promise<T>;
/**
 * A client of node-redis that is connected, or an error.
 * @param {string} url
 * @param {ConnectionOptions} options
 * @param {(error: Error) => void} onLost called at most once, when the open connection is lost
 */
export declare function open(url: string, { name, timeoutMs }: ConnectionOptions, onLost: (error: Error) => void): Promise<import("redis").RedisClientType<{}, {}, {}, 2, {}>>;
export type Client = Awaited<ReturnType<typeof open>>;
/** @typedef {Awaited<ReturnType<typeof open>>} Client */
/** Closes without waiting. @param {Client} client */
export declare function discard(client: Client): void;
export declare class Connection {
    #private;
    url: string;
    options: ConnectionOptions;
    /** @param {string} url @param {ConnectionOptions} options */
    constructor(url: string, options: ConnectionOptions);
    /**
     * Runs commands in one round trip.
     * @param {Command[]} commands
     * @returns {Promise<unknown[]>} one answer per command; an `ErrorReply` where Redis answered with an error
     * @throws {ConnectionLost} there was no answer: what became of the commands is unknown
     */
    run(commands: Command[]): Promise<unknown[]>;
    /** Closes the connection; the next `run` opens another. */
    drop(): void;
}
