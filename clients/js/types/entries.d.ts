import { RedisRefused } from "./errors.js";
export type NumberedFrame = import("./wire.js").NumberedFrame;
export type Command = import("./connection.js").Command;
export type Entry = {
    partition: number;
    frames: NumberedFrame[];
    doubtful: boolean;
    fault: RedisRefused | null;
};
/** @param {NumberedFrame[]} frames @param {number} partitions @returns {Entry[]} */
export declare function plan(frames: NumberedFrame[], partitions: number): Entry[];
/** @param {Entry} entry @param {boolean} compact @param {string} replyTo "" for none @returns {Command} */
export declare function add({ partition, frames }: Entry, compact: boolean, replyTo: string): Command;
/** @param {number} partition @returns {Command[]} */
export declare const readLag: (partition: number) => Command[];
/** @param {unknown} groups @param {unknown} length */
export declare function lagOf(groups: unknown, length: unknown): any;
/** Raises the error that names every frame not known to be accepted. @param {Entry[]} full @param {Entry[]} left @param {number} maxLag */
export declare function raise(full: Entry[], left: Entry[], maxLag: number): void;
/** @param {unknown} frames what was passed to `sendTick` @throws {TypeError} with the call that takes it */
export declare function checkFrames(frames: unknown): void;
