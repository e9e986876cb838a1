// What Redis holds about the pool: the version of the wire and the number of partitions.

import { SettingsError } from "./errors.js";
import { TOPOLOGY } from "./wire.js";

/** @param {number} count */
export const isPartitions = (count) => Number.isInteger(count) && count >= 1 && count <= 1024 && (count & (count - 1)) === 0;

/** @param {unknown} answer */
export function topologyOf(answer) {
  if (!Array.isArray(answer) || answer[0] == null || answer[1] == null) return null;
  const [version, partitions] = answer.slice(0, 2).map(Number);
  if (!Number.isInteger(version) || !Number.isInteger(partitions)) throw new SettingsError("topology", `${TOPOLOGY} in Redis holds ${answer}, not a version and a partition count`);
  return { version, partitions, compact: answer[2] === "1" };
}
