/** @param {number} count */
export declare const isPartitions: (count: number) => boolean;
/** @param {unknown} answer */
export declare function topologyOf(answer: unknown): {
    version: number;
    partitions: number;
    compact: boolean;
} | null;
