export type NumberedFrame = import("./wire.js").NumberedFrame;
/** @typedef {import("./wire.js").NumberedFrame} NumberedFrame */
export declare const OUTCOMES: string[];
/** Passes each kind of warning on once. */
declare class Once {
    warn: (sentence: string) => void;
    warned: Set<any>;
    /** @param {(sentence: string) => void} warn */
    constructor(warn: (sentence: string) => void);
    /** @param {string} kind @param {string} sentence */
    say(kind: string, sentence: string): void;
}
/** Looks at some frames: seconds for milliseconds, 21 equal points, pixels with an aspect. */
export declare class InputCheck {
    once: Once;
    left: number;
    nextMs: number;
    /** @param {(sentence: string) => void} warn */
    constructor(warn: (sentence: string) => void);
    /** @param {NumberedFrame} frame @param {number} nowMs Unix time */
    look(frame: NumberedFrame, nowMs: number): void;
    /** @param {NumberedFrame} frame */
    lookAtSettings({ settings }: NumberedFrame): void;
    /** @param {string} session @param {NumberedFrame["landmarks"]} landmarks @param {number} aspect */
    lookAtLandmarks(session: string, landmarks: NumberedFrame["landmarks"], aspect: number): void;
}
/** Compares the pool's counters, at most once a second, and warns of sessions that get no replies. */
export declare class OutcomeWatch {
    once: Once;
    lastSeq: (session: string) => number | null;
    /** @type {Map<number, string[]>} */
    sent: Map<number, string[]>;
    /** @type {Map<number, { counts: number[], lastSeqs: Map<string, number | null>, changedMs: number }>} */
    seen: Map<number, {
        counts: number[];
        lastSeqs: Map<string, number | null>;
        changedMs: number;
    }>;
    nextMs: number;
    enabled: boolean;
    /**
     * @param {(session: string) => number | null} lastSeq of the last reply; -1 before the first, null: not listening
     * @param {(sentence: string) => void} warn
     */
    constructor(lastSeq: (session: string) => number | null, warn: (sentence: string) => void);
    /** @param {number} partition @param {string[]} sessions */
    note(partition: number, sessions: string[]): void;
    /** The partitions whose counters are to be read now. @param {number} nowMs @returns {number[]} */
    due(nowMs: number): number[];
    /** @param {number} partition @param {unknown} answer of HMGET @param {number} nowMs */
    read(partition: number, answer: unknown, nowMs: number): void;
}
export {};
